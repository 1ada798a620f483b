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

from typing import Any

from torch import Tensor

from ..blocks import SameConvolution
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

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        channels = self.net.flow.convolution.in_channels
        # zero like the one that it replaces
        self.net.flow = SameConvolution(self.dimension, channels, 2 * self.dimension, 3, None)

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
