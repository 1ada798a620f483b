"""Networks that give an inverse of their own: of a stationary velocity, and with a second head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Generator, Tensor, nn

from varreg.errors import InputError

from ..blocks import DROPOUT, SameConvolution
from ..dt_net import DTNet
from ..losses.terms import carried_back
from ..spatial import compose, warp
from ..tensors import check_displacement, without_autocast

#: Squarings, as in VoxelMorph.
STEPS = 7


class InvertibleNet(nn.Module, ABC):
    """A DT-Net whose displacement comes with an inverse.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Of the DT-Net.
    dropout : float
    consistency : float
        Weight of the dual consistency, by the inverse of this network; 0 leaves it out.
    generator : torch.Generator, optional
        Draws the weights, then the dropout masks; None is a new one with seed 0.

    Attributes
    ----------
    auxiliary : Tensor or None
        What the last pass in training adds to the loss.
    """

    def __init__(
        self,
        dimension: int = 2,
        width: int = 32,
        dropout: float = DROPOUT,
        consistency: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.dimension, self.consistency = dimension, consistency
        self.net = DTNet(dimension, width, dropout, generator=generator)
        self.auxiliary: Tensor | None = None

    def forward(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels of a pair (N, 2, \*S)."""
        if self.training and self._learns_inverse():
            displacement, inverse = self.with_inverse(pair)
            self.auxiliary = self._auxiliary(pair, displacement, inverse)
            return displacement
        self.auxiliary = None
        return self.displacement(pair)

    @abstractmethod
    def displacement(self, pair: Tensor) -> Tensor:
        r"""The displacement alone, (N, d, \*S) in voxels."""

    @abstractmethod
    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""The displacement and its inverse, both (N, d, \*S) in voxels."""

    def _learns_inverse(self) -> bool:
        """Whether the loss depends on the inverse; if not, none is computed in training."""
        return self.consistency > 0

    def _auxiliary(self, pair: Tensor, displacement: Tensor, inverse: Tensor) -> Tensor:
        """What a pass in training adds to the loss: the dual consistency, with its weight."""
        with without_autocast(pair):
            moving = pair[:, :1].to(displacement.dtype)
            back = carried_back(moving, warp(moving, displacement), inverse)
            return self.consistency * back.mean()


def integrate_velocity(velocity: Tensor, steps: int = STEPS) -> Tensor:
    r"""Displacement of the flow of a stationary velocity at time 1: :math:`\exp(v) - \mathrm{id}`.

    Parameters
    ----------
    velocity : (N, d, \*S) tensor
        Voxels.
    steps : int
        Squarings: v / 2^steps is composed with itself so often.

    Returns
    -------
    (N, d, \*S) tensor, in voxels.

    Raises
    ------
    InputError
        If it is no such field, or `steps` no whole number from 0.

    Examples
    --------
    >>> import torch
    >>> integrate_velocity(torch.full((1, 2, 3, 4), 0.5))[0, :, 1, 1].tolist()
    [0.5, 0.5]
    """
    check_displacement("learned.baselines.integrate_velocity", "velocity", velocity)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise InputError(
            "learned.baselines.integrate_velocity: `steps` must be a whole number from 0; got "
            f"{steps!r}."
        )
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


class VelocityNet(InvertibleNet):
    """The U-Net of :class:`learned.dt_net.DTNet`, whose output is a velocity, after VM-diff.

    The displacement is that of the flow of the velocity v at time 1, by scaling and squaring
    (Arsigny et al. 2006, doi 10.1007/11866565_113); the flow of -v is its inverse, up to interpolation.
    Unlike the original (doi 10.1016/j.media.2019.07.006), the velocity is not random, has the resolution of the
    images, and is trained on the loss of the paper's cascade; only its dual consistency takes the inverse of
    this network.

    Parameters as for :class:`learned.baselines.invertible.InvertibleNet`.

    Examples
    --------
    >>> import torch
    >>> tuple(VelocityNet(width=2).eval()(torch.rand(1, 2, 32, 40)).shape)
    (1, 2, 32, 40)
    """

    def displacement(self, pair: Tensor) -> Tensor:
        r"""The displacement alone, (N, d, \*S) in voxels."""
        return integrate_velocity(self.net(pair))

    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""The displacement and its inverse, both (N, d, \*S) in voxels."""
        velocity = self.net(pair)
        return integrate_velocity(velocity), integrate_velocity(-velocity)


class LearnedInverseNet(InvertibleNet):
    r"""The U-Net of :class:`learned.dt_net.DTNet` with one more displacement, that of the inverse, after LT-Net.

    LT-Net (Wang et al., CVPR 2020, pp. 9162-9171) learns the correspondence back from the fixed to the moving
    image beside that forward, tied to it by cycles.  Here both fields u and v come from one U-Net, whose last
    convolution has twice the channels, and

    .. math:: \mathrm{mean}\,|v + u \circ (\mathrm{id} + v)|^2
              + \mathrm{mean}\,|u + v \circ (\mathrm{id} + u)|^2

    (voxels squared) is added to the loss, with the dual consistency by v.  Unlike the original there is no
    adversary, no atlas, no warp of images from fixed to moving (they differ in contrast), and the U-Net is
    that of the cascade.

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
