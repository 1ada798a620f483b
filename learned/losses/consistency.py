r"""Dual consistency: the warped image, carried back by the inverse, is the image that was warped.

.. math:: C = \mathrm{MSE}(M_A,\ M_D \circ u^{-1}), \qquad M_D = M_A \circ (\mathrm{id} + u),

M_A the moving image after the affine stage and M_D after the deformable one: the term of
:math:`\lambda_4` in eq. (12) of doi 10.3390/math14122131, where :math:`u^{-1}` stands for the inverse
map :math:`\mathrm{id} + v`.  For a right inverse v, what is left is the blur of interpolating twice
and what the map takes out of view.  The paper's own formula for v is no inverse (see
:mod:`learned.inverse`) and makes the term one more penalty on the size of the displacement.
"""

from __future__ import annotations

from torch import Tensor

from varreg.errors import InputError

from ..field_checks import check_displacement
from ..inverse import inverse_displacement
from ..spatial import warp
from .arguments import check_images, single_or_double

NAME = "learned.losses.dual_consistency"


def dual_consistency(
    moving: Tensor,
    warped: Tensor,
    displacement: Tensor,
    inverse: str = "fixed-point",
    iterations: int = 5,
) -> Tensor:
    """Dual consistency of each pair, by an inverse that is computed.

    Parameters
    ----------
    moving : (N, 1, *S) tensor
        M_A: the moving image on the grid of the fixed one, after the affine stage.
    warped : (N, 1, *S) tensor
        M_D: the same after the displacement.
    displacement : (N, d, *S) tensor
        u in voxels.
    inverse : {"fixed-point", "paper"}
        How it is inverted, see :func:`learned.inverse.inverse_displacement`.
    iterations : int
        Steps of the fixed point.

    Returns
    -------
    (N,) tensor, squared intensities, in float32 or float64. Differentiable with respect to both
        images and, also through the inverse, the displacement.

    Raises
    ------
    InputError

    Examples
    --------
    >>> import torch
    >>> image = torch.rand(1, 1, 5, 6, generator=torch.Generator().manual_seed(0))
    >>> dual_consistency(image, image, torch.zeros(1, 2, 5, 6)).tolist()
    [0.0]
    """
    check_images(NAME, moving=moving, warped=warped)
    check_displacement(NAME, "displacement", displacement)
    if (len(moving), *moving.shape[2:]) != (len(displacement), *displacement.shape[2:]):
        raise InputError(
            f"{NAME}: `displacement` must be on the grid of the images, {tuple(moving.shape)}; "
            f"got {tuple(displacement.shape)}."
        )
    field = single_or_double(displacement)
    before, after = (image.to(field.dtype) for image in (moving, warped))
    return carried_back(before, after, inverse_displacement(field, inverse, iterations))


def carried_back(moving: Tensor, warped: Tensor, inverse: Tensor) -> Tensor:
    r"""Mean squared difference of the moving image and of the warped one carried back, (N,).

    Parameters
    ----------
    moving, warped : (N, 1, \*S) tensors
        M_A and M_D.
    inverse : (N, d, \*S) tensor
        v in voxels, whatever it comes from.
    """
    return (moving - warp(warped, inverse)).square().flatten(1).mean(1)
