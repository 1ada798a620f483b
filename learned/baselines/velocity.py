r"""A DT-Net that predicts a stationary velocity, after VM-diff (doi 10.1016/j.media.2019.07.006).

The displacement is that of the flow of the velocity v at time 1, by scaling and squaring
(Arsigny et al. 2006, doi 10.1007/11866565_113); the flow of -v is its inverse, up to interpolation.

Unlike the original, the velocity is not random, has the resolution of the images, and is trained on
the loss of the paper's cascade; only its dual consistency takes the inverse of this network.
"""

from __future__ import annotations

from torch import Tensor

from varreg.errors import InputError

from ..field_checks import check_displacement
from ..spatial import compose
from .invertible import InvertibleNet

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
    """The U-Net of :class:`learned.dt_net.DTNet`, whose output is a velocity.

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
