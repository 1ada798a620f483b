"""Dual consistency with an inverse that a network gives itself."""

from __future__ import annotations

from torch import Tensor

from ..precision import without_autocast
from ..spatial import warp


def carried_back(pair: Tensor, displacement: Tensor, inverse: Tensor) -> Tensor:
    r"""Mean squared difference of the moving image and of the warped one carried back, of shape ().

    .. math:: \mathrm{MSE}(M_A,\ M_A \circ (\mathrm{id} + u) \circ (\mathrm{id} + v)),

    the term of :math:`\lambda_4` in eq. (12) of doi 10.3390/math14122131.

    Parameters
    ----------
    pair : (N, 2, \*S) tensor
        Moving and fixed image.
    displacement, inverse : (N, d, \*S) tensors
        u and v, in voxels.
    """
    with without_autocast(pair):
        moving = pair[:, :1].to(displacement.dtype)
        return (moving - warp(warp(moving, displacement), inverse)).square().mean()
