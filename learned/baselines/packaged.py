"""Networks of other packages, imported when one is built, in the form of a stage of the cascade."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor, nn

from varreg.errors import InputError

from ..blocks import check_pair, full_precision, pad_to

#: What makes all of them importable.
HOW = "pip install 'varreg[baselines]'"


def module_of(name: str, network: str) -> Any:
    """A module of an optional package.

    Raises
    ------
    InputError
        If the package is absent, or one that it needs; the message says how to get it.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(
            f"learned.baselines: the network {network!r} needs {name.split('.')[0]}, which cannot be "
            f"imported here ({error}): {HOW}."
        ) from error


@contextmanager
def drawn_by(generator: Generator) -> Iterator[None]:
    """Within the block the global generator of the CPU starts from a number that `generator` draws.

    Other packages draw their weights from the global one; it is left as it was.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with drawn_by(torch.Generator().manual_seed(0)):
    ...     _ = torch.rand(3)
    >>> bool((torch.get_rng_state() == before).all())
    True
    """
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


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
