"""Networks that also provide the inverse: by a stationary velocity field, or by a second output."""

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

#: Number of squarings, as in VoxelMorph.
STEPS = 7


class InvertibleNet(nn.Module, ABC):
    """DT-Net with a displacement and its inverse (base class).

    Parameters
    ----------
    dimension : {2, 3}
        Dimension of the images.
    width : int
        Width of the DT-Net.
    dropout : float
        Dropout rate of the DT-Net.
    consistency : float
        Weight of the dual consistency with the inverse of this network; 0 omits the term.
    generator : torch.Generator, optional
        Generator of the initial weights and the dropout masks; by default a new one with seed 0.

    Attributes
    ----------
    auxiliary : Tensor or None
        Additional loss of the last forward pass in training.
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
        r"""Displacement (N, d, \*S) in voxels, predicted for a pair (N, 2, \*S)."""
        if self.training and self._learns_inverse():
            displacement, inverse = self.with_inverse(pair)
            self.auxiliary = self._auxiliary(pair, displacement, inverse)
            return displacement
        self.auxiliary = None
        return self.displacement(pair)

    @abstractmethod
    def displacement(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels, without its inverse."""

    @abstractmethod
    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""Displacement and its inverse, each (N, d, \*S) in voxels."""

    def _learns_inverse(self) -> bool:
        """Whether the loss depends on the inverse; otherwise it is not computed in training."""
        return self.consistency > 0

    def _auxiliary(self, pair: Tensor, displacement: Tensor, inverse: Tensor) -> Tensor:
        """Additional loss of a forward pass in training: the weighted dual consistency."""
        with without_autocast(pair):
            moving = pair[:, :1].to(displacement.dtype)
            back = carried_back(moving, warp(moving, displacement), inverse)
            return self.consistency * back.mean()


def integrate_velocity(velocity: Tensor, steps: int = STEPS) -> Tensor:
    r"""Displacement :math:`\exp(v) - \mathrm{id}` of a stationary velocity field at time 1, by scaling and squaring.

    Parameters
    ----------
    velocity : (N, d, \*S) tensor
        Velocity v, voxels.
    steps : int
        Number of squarings: v / 2^steps is repeatedly composed with itself.

    Returns
    -------
    (N, d, \*S) tensor, voxels

    Raises
    ------
    InputError
        If `velocity` has another shape, or `steps` is not a non-negative integer.

    Examples
    --------
    >>> import torch
    >>> integrate_velocity(torch.full((1, 2, 3, 4), 0.5))[0, :, 1, 1].tolist()
    [0.5, 0.5]
    """
    check_displacement("learned.baselines.integrate_velocity", "velocity", velocity)
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise InputError(
            "learned.baselines.integrate_velocity: `steps` must be a whole number >= 0; got "
            f"{steps!r}."
        )
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


class VelocityNet(InvertibleNet):
    """U-Net of :class:`learned.dt_net.DTNet` that predicts a stationary velocity field, after VoxelMorph-diff.

    The displacement is the flow of the velocity v at time 1, by scaling and squaring
    (Arsigny et al. 2006, doi 10.1007/11866565_113); the flow of -v is its inverse, up to interpolation.
    Unlike in the original (doi 10.1016/j.media.2019.07.006), the velocity is deterministic and has the resolution
    of the images, and the loss is that of the paper's cascade, except that the dual consistency uses the inverse
    of this network.

    The parameters are those of :class:`learned.baselines.invertible.InvertibleNet`.

    Examples
    --------
    >>> import torch
    >>> tuple(VelocityNet(width=2).eval()(torch.rand(1, 2, 32, 40)).shape)
    (1, 2, 32, 40)
    """

    def displacement(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels, without its inverse."""
        return integrate_velocity(self.net(pair))

    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""Displacement and its inverse, each (N, d, \*S) in voxels."""
        velocity = self.net(pair)
        return integrate_velocity(velocity), integrate_velocity(-velocity)


class LearnedInverseNet(InvertibleNet):
    r"""U-Net of :class:`learned.dt_net.DTNet` that also predicts the inverse displacement, after LT-Net.

    LT-Net (Wang et al., CVPR 2020, pp. 9162-9171) learns the correspondences in both directions, coupled by
    cycle consistency.  Here one U-Net predicts both displacements u and v, by a last convolution with twice the
    number of channels, and

    .. math:: \mathrm{mean}\,|v + u \circ (\mathrm{id} + v)|^2
              + \mathrm{mean}\,|u + v \circ (\mathrm{id} + u)|^2

    (in squared voxels) is added to the loss, and the dual consistency with v.  Unlike in the original there is no
    adversarial loss, no atlas and no image loss in the inverse direction (the contrasts differ), and the U-Net is
    that of the cascade.

    The parameters are those of :class:`learned.baselines.invertible.InvertibleNet`.

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
        # zero weights, as in the convolution that it replaces
        self.net.flow = SameConvolution(self.dimension, channels, 2 * self.dimension, 3, None)

    def displacement(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels, without its inverse."""
        return self.with_inverse(pair)[0]

    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""Displacement and its learned inverse, each (N, d, \*S) in voxels."""
        displacement, inverse = self.net(pair).split(self.dimension, 1)
        return displacement, inverse

    def _learns_inverse(self) -> bool:
        return True

    def _auxiliary(self, pair: Tensor, displacement: Tensor, inverse: Tensor) -> Tensor:
        """Cycle consistency, and the weighted dual consistency."""
        cycles = _cycle(displacement, inverse) + _cycle(inverse, displacement)
        if not self.consistency:
            return cycles
        return cycles + super()._auxiliary(pair, displacement, inverse)


def _cycle(there: Tensor, back: Tensor) -> Tensor:
    """Mean squared displacement of the composition of `back`, then `there`."""
    return (back + warp(there, back)).square().sum(1).mean()
