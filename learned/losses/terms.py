r"""Further loss terms: smoothness, background suppression and dual consistency.

**Smoothness** is the term of the solver. On n nodes with spacing h_k along axis k,

.. math:: R(u) = \frac1n \sum_c \langle u_c, (L + \ell^{2m-2} L^m) u_c \rangle, \qquad
          L = \sum_k D_k^T D_k / h_k^2,

with D_k the forward differences along axis k, none across the border (zero flux), so that displacements at the border
are not drawn to zero.  With :math:`\ell = 0` it is the H1 term of the paper, :math:`\mathrm{mean}\,|\nabla u|^2`
(section 2.3.1 of doi 10.3390/math14122131).  It equals :class:`varreg.energy.smoothness.Smoothness` with zero mean,
computed by repeated differences instead of a cosine transform.

**Background suppression**: the warped image should be dark where the fixed image is,

.. math:: B(F, M_w) = \frac1N \sum_i m_i\,(F_i - M_{w,i})^2, \qquad m_i = 1 \text{ if } F_i < \gamma
          \text{ and } 0 \text{ else},

the term added to mutual information in the loss J_L of the paper (section 2.2.3), with the mean over all voxels as in
the parent paper.  It assumes that what is dark in one contrast is dark in the other: true of air, not of cerebrospinal fluid.

**Dual consistency**: the warped image, warped back by the inverse, equals the original image,

.. math:: C = \mathrm{MSE}(M_A,\ M_D \circ u^{-1}), \qquad M_D = M_A \circ (\mathrm{id} + u),

with M_A the moving image after the affine stage and M_D after the deformable one: the term with weight :math:`\lambda_4`
in eq. (12) of the paper, where :math:`u^{-1}` stands for the inverse map :math:`\mathrm{id} + v`.  For a correct v the
remainder is due to interpolating twice and to voxels moved out of view.  The paper's formula for v is not an inverse
(see :mod:`learned.inverse`); with it the term is a further penalty on the size of the displacement.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from varreg.errors import InputError

from ..inverse import inverse_displacement
from ..spatial import warp
from ..tensors import check_displacement, check_finite, check_images, check_range, single_or_double

SMOOTHNESS = "learned.losses.smoothness"
BACKGROUND = "learned.losses.background_suppression"
CONSISTENCY = "learned.losses.dual_consistency"


def smoothness(
    displacement: Tensor,
    length: float = 0.0,
    order: int = 4,
    spacing: Sequence[float] | None = None,
) -> Tensor:
    """Smoothness R(u) of each displacement of a batch.

    Parameters
    ----------
    displacement : (N, d, *m) tensor
        u at the nodes, in voxels.
    length : float
        Length ell of the high-order term, in voxels; 0 omits the term.
    order : int
        Order m of the derivatives in the high-order term, at least 2.
    spacing : d floats or None
        Node spacing along each axis in voxels; None: every voxel is a node.

    Returns
    -------
    (N,) tensor, float32 or float64, dimensionless

    Raises
    ------
    InputError

    Examples
    --------
    >>> import torch
    >>> ramp = 0.5 * torch.arange(5.0).expand(1, 2, 4, 5)
    >>> round(smoothness(ramp).item(), 6)  # 2 components, 4 differences for 5 voxels, squared
    0.4
    """
    check_displacement(SMOOTHNESS, "displacement", displacement)
    spacing = _spacing(spacing, displacement.shape[1])
    if not (isinstance(length, (int, float)) and 0 <= length < math.inf):
        raise InputError(f"{SMOOTHNESS}: `length` must be a number of voxels >= 0; got {length!r}.")
    if isinstance(order, bool) or not isinstance(order, int) or order < 2:
        raise InputError(f"{SMOOTHNESS}: `order` must be a whole number >= 2; got {order!r}.")
    field = single_or_double(displacement)
    value = _squared_gradient(field, spacing)
    if length > 0:
        high = field
        for _ in range(order // 2):
            high = _laplacian(high, spacing)
        if order % 2:
            squared = _squared_gradient(high, spacing)
        else:
            squared = high.square().flatten(1).sum(1) / math.prod(field.shape[2:])
        value = value + length ** (2 * order - 2) * squared
    return value


def _squared_gradient(field: Tensor, spacing: Sequence[float]) -> Tensor:
    """H1 term <u, L u> / n of each field of a batch."""
    nodes = math.prod(field.shape[2:])
    parts = [
        field.diff(dim=axis).square().flatten(1).sum(1) / (nodes * step**2)
        for axis, step in enumerate(spacing, start=2)
    ]
    return torch.stack(parts).sum(0)


def _laplacian(field: Tensor, spacing: Sequence[float]) -> Tensor:
    """Negative Laplacian L u with zero flux through the border."""
    result = torch.zeros_like(field)
    for axis, step in enumerate(spacing, start=2):
        border = list(field.shape)
        border[axis] = 1
        none = field.new_zeros(border)
        flux = torch.cat((none, field.diff(dim=axis), none), axis)
        result = result - flux.diff(dim=axis) / step**2
    return result


def _spacing(spacing: Sequence[float] | None, dimension: int) -> Sequence[float]:
    if spacing is None:
        return (1.0,) * dimension
    if len(spacing) != dimension or not all(0 < step < math.inf for step in spacing):
        raise InputError(
            f"{SMOOTHNESS}: `spacing` must be {dimension} positive numbers of voxels; got {spacing!r}."
        )
    return spacing


def background_suppression(
    warped: Tensor, fixed: Tensor, threshold: float = 0.1, mask: Tensor | None = None
) -> Tensor:
    """Background suppression: squared difference to the fixed image in its background, mean over all voxels.

    Parameters
    ----------
    warped, fixed : (N, 1, *S) tensors
        Images with intensities in [0, 1].
    threshold : float
        gamma in [0, 1]: voxels of the fixed image below it are background.
    mask : (N, 1, *S) tensor or None
        Fixed mask, or weights in [0, 1]; None for equal weights.

    Returns
    -------
    (N,) tensor, float32 or float64, in squared intensities

    Raises
    ------
    InputError

    Examples
    --------
    >>> import torch
    >>> fixed = torch.tensor([0.0, 0.0, 0.5, 1.0]).reshape(1, 1, 2, 2)
    >>> warped = torch.tensor([1.0, 0.0, 0.0, 0.0]).reshape(1, 1, 2, 2)
    >>> background_suppression(warped, fixed).tolist()
    [0.25]
    """
    images = {"warped": warped, "fixed": fixed}
    if mask is not None:
        images["mask"] = mask.float() if isinstance(mask, Tensor) else mask
    check_images(BACKGROUND, **images)
    check_finite(BACKGROUND, "fixed", fixed)
    check_range(BACKGROUND, "fixed", fixed, 0, 1)
    if not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
        raise InputError(
            f"{BACKGROUND}: `threshold` must be a number in [0, 1]; got {threshold!r}."
        )
    dark: Tensor = fixed < threshold
    counts: Tensor | int = fixed[0].numel()
    difference = single_or_double(warped) - single_or_double(fixed)
    if mask is not None:
        check_range(BACKGROUND, "mask", images["mask"], 0, 1)
        weight = mask.to(difference)
        dark, total = dark * weight, weight.flatten(1).sum(1)
        counts = torch.where(total > 0, total, torch.ones_like(total))
    return (difference.square() * dark).flatten(1).sum(1) / counts


def dual_consistency(
    moving: Tensor,
    warped: Tensor,
    displacement: Tensor,
    inverse: str = "fixed-point",
    iterations: int = 5,
) -> Tensor:
    """Dual consistency C of each pair, with a numerically computed inverse.

    Parameters
    ----------
    moving : (N, 1, *S) tensor
        M_A: the moving image on the fixed grid after the affine stage.
    warped : (N, 1, *S) tensor
        M_D: M_A warped by the displacement.
    displacement : (N, d, *S) tensor
        u in voxels.
    inverse : {"fixed-point", "paper"}
        Method of inversion, see :func:`learned.inverse.inverse_displacement`.
    iterations : int
        Number of fixed-point iterations.

    Returns
    -------
    (N,) tensor, float32 or float64
        In squared intensities. Differentiable by both images and, also through the inverse, by the displacement.

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
    check_images(CONSISTENCY, moving=moving, warped=warped)
    check_displacement(CONSISTENCY, "displacement", displacement)
    if (len(moving), *moving.shape[2:]) != (len(displacement), *displacement.shape[2:]):
        raise InputError(
            f"{CONSISTENCY}: `displacement` must be on the grid of the images, {tuple(moving.shape)}; "
            f"got {tuple(displacement.shape)}."
        )
    field = single_or_double(displacement)
    before, after = (image.to(field.dtype) for image in (moving, warped))
    return carried_back(before, after, inverse_displacement(field, inverse, iterations))


def carried_back(moving: Tensor, warped: Tensor, inverse: Tensor) -> Tensor:
    r"""Mean squared difference of the moving image and the warped image warped back, (N,).

    Parameters
    ----------
    moving, warped : (N, 1, \*S) tensors
        M_A and M_D.
    inverse : (N, d, \*S) tensor
        Inverse displacement v in voxels, computed or predicted.
    """
    return (moving - warp(warped, inverse)).square().flatten(1).mean(1)
