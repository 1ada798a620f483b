"""Networks of other packages, in the form that a stage of the cascade wants."""

from __future__ import annotations

from collections.abc import Callable

from torch import Generator, Tensor, nn

from ..blocks import check_pair, full_precision, pad_to
from .packages import drawn_by

#: What the poolings or patches of these networks make of an image: their size must divide it.
MULTIPLE = 32


class PackagedNet(nn.Module):
    """A network of another package, its weights drawn from a generator, for images of any size.

    Parameters
    ----------
    dimension : {2, 3}
    build : callable
        () -> the network, a pair (N, 2, *S) -> (N, d, *S), which draws from torch's global generator.
    generator : torch.Generator or None
        Draws the weights; None is a new one with seed 0.

    Attributes
    ----------
    auxiliary : None
        It adds nothing to the loss.
    """

    auxiliary: Tensor | None = None

    def __init__(
        self, dimension: int, build: Callable[[], nn.Module], generator: Generator | None
    ) -> None:
        super().__init__()
        self.dimension = dimension
        with drawn_by(Generator().manual_seed(0) if generator is None else generator):
            self.net = build()

    def forward(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels of a pair (N, 2, \*S)."""
        check_pair(f"baselines.{type(self).__name__}", pair, self.dimension)
        values, inner = pad_to(pair, MULTIPLE)
        return full_precision(self.net, values)[inner]
