r"""A DT-Net that predicts a stationary velocity, after VM-diff (doi 10.1016/j.media.2019.07.006).

The displacement is that of the flow of the velocity v at time 1, by scaling and squaring
(Arsigny et al. 2006, doi 10.1007/11866565_113); the flow of -v is its inverse, up to interpolation.

Unlike the original, the velocity is not random, has the resolution of the images, and is trained on
the loss of the paper's cascade; only its dual consistency takes the inverse of this network.
"""

from __future__ import annotations

from torch import Generator, Tensor, nn

from varreg.errors import InputError

from ..blocks import DROPOUT
from ..dt_net import DTNet
from ..spatial import check_displacement, compose
from .consistency import carried_back

#: Squarings, as in VoxelMorph.
STEPS = 7


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
    check_displacement(velocity, "baselines.integrate_velocity", "velocity")
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
        raise InputError(
            "learned.baselines.integrate_velocity: `steps` must be a whole number from 0; got "
            f"{steps!r}."
        )
    displacement = velocity / 2**steps
    for _ in range(steps):
        displacement = compose(displacement, displacement)
    return displacement


class VelocityNet(nn.Module):
    """The U-Net of :class:`learned.dt_net.DTNet`, whose output is a velocity.

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

    Examples
    --------
    >>> import torch
    >>> tuple(VelocityNet(width=2).eval()(torch.rand(1, 2, 32, 40)).shape)
    (1, 2, 32, 40)
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
        velocity = self.net(pair)
        displacement = integrate_velocity(velocity)
        self.auxiliary = None
        if self.training and self.consistency:
            back = carried_back(pair, displacement, integrate_velocity(-velocity))
            self.auxiliary = self.consistency * back
        return displacement

    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""The displacement and its inverse, both (N, d, \*S) in voxels."""
        velocity = self.net(pair)
        return integrate_velocity(velocity), integrate_velocity(-velocity)
