r"""A DT-Net with a second head for the inverse, after LT-Net (Wang et al., CVPR 2020, pp. 9162-9171).

LT-Net learns the correspondence back from the fixed to the moving image beside that forward, tied to it
by cycles.  Here both fields u and v come from one U-Net, whose last convolution has twice the
channels, and

.. math:: \mathrm{mean}\,|v + u \circ (\mathrm{id} + v)|^2
          + \mathrm{mean}\,|u + v \circ (\mathrm{id} + u)|^2

(voxels squared) is added to the loss, with the dual consistency by v.  Unlike the original there is no
adversary, no atlas, no warp of images from fixed to moving (they differ in contrast), and the U-Net is
that of the cascade.
"""

from __future__ import annotations

from torch import Generator, Tensor

from ..blocks import DROPOUT, SameConvolution
from ..dt_net import DECODER
from ..spatial import warp
from .invertible import InvertibleNet


class LearnedInverseNet(InvertibleNet):
    """The U-Net of :class:`learned.dt_net.DTNet` with one more displacement: that of the inverse.

    Parameters as for :class:`learned.baselines.invertible.InvertibleNet`.

    Examples
    --------
    >>> import torch
    >>> u, v = LearnedInverseNet(width=2).eval().with_inverse(torch.rand(1, 2, 32, 40))
    >>> tuple(u.shape) == tuple(v.shape) == (1, 2, 32, 40)
    True
    """

    def __init__(
        self,
        dimension: int = 2,
        width: int = 32,
        dropout: float = DROPOUT,
        consistency: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__(dimension, width, dropout, consistency, generator)
        # zero like the one that it replaces
        self.net.flow = SameConvolution(dimension, DECODER[-1] * width, 2 * dimension, 3, None)

    def displacement(self, pair: Tensor) -> Tensor:
        r"""The displacement alone, (N, d, \*S) in voxels."""
        return self.with_inverse(pair)[0]

    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""The displacement and its learned inverse, both (N, d, \*S) in voxels."""
        displacement, inverse = self.net(pair).split(self.dimension, 1)
        return displacement, inverse

    def _learns_inverse(self) -> bool:
        return True

    def _auxiliary(self, pair: Tensor, displacement: Tensor, inverse: Tensor) -> Tensor:
        """The cycles, and the dual consistency if it counts."""
        cycles = _cycle(displacement, inverse) + _cycle(inverse, displacement)
        if not self.consistency:
            return cycles
        return cycles + super()._auxiliary(pair, displacement, inverse)


def _cycle(there: Tensor, back: Tensor) -> Tensor:
    """Mean square of how far `back`, then `there`, takes a voxel from where it was."""
    return (back + warp(there, back)).square().sum(1).mean()
