r"""Terms beside mutual information: smoothness, background suppression and dual consistency.

**Smoothness** is that of the solver. On n nodes with spacing h_k along axis k,

.. math:: R(u) = \frac1n \sum_c \langle u_c, (L + \ell^{2m-2} L^m) u_c \rangle, \qquad
          L = \sum_k D_k^T D_k / h_k^2,

with D_k the forward differences along axis k, none across the border: no flux, so that nothing pulls
border vectors to zero.  With :math:`\ell = 0` it is the H1 term of the paper,
:math:`\mathrm{mean}\,|\nabla u|^2` (section 2.3.1 of doi 10.3390/math14122131).  It is
:class:`varreg.energy.smoothness.Smoothness` with zero mean, by repeated differences instead of cosines.

**Background suppression**: the warped image should be dark where the fixed image is,

.. math:: B(F, M_w) = \frac1N \sum_i m_i\,(F_i - M_{w,i})^2, \qquad m_i = 1 \text{ if } F_i < \gamma
          \text{ and } 0 \text{ else},

the term beside mutual information in the loss J_L of the paper (section 2.2.3), with the mean over all
voxels that its parent takes.  It supposes that what is dark in one contrast is dark in the other: true of
air, not of cerebrospinal fluid.

**Dual consistency**: the warped image, carried back by the inverse, is the image that was warped,

.. math:: C = \mathrm{MSE}(M_A,\ M_D \circ u^{-1}), \qquad M_D = M_A \circ (\mathrm{id} + u),

M_A the moving image after the affine stage and M_D after the deformable one: the term of
:math:`\lambda_4` in eq. (12) of the paper, where :math:`u^{-1}` stands for the inverse map
:math:`\mathrm{id} + v`.  For a right inverse v, what is left is the blur of interpolating twice and what
the map takes out of view.  The paper's own formula for v is no inverse (see :mod:`learned.inverse`) and
makes the term one more penalty on the size of the displacement.
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
    """R(u) of each displacement of a batch.

    Parameters
    ----------
    displacement : (N, d, *m) tensor
        u at the nodes, in voxels.
    length : float
        ell in voxels, of the high-order term; 0 leaves it out.
    order : int
        m, of the derivatives that the length weighs, at least 2.
    spacing : d floats or None
        Node spacing along each axis in voxels; None for a node at each voxel.

    Returns
    -------
    (N,) tensor, no unit, in float32 or float64.

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
        raise InputError(
            f"{SMOOTHNESS}: `length` must be a number of voxels from 0; got {length!r}."
        )
    if isinstance(order, bool) or not isinstance(order, int) or order < 2:
        raise InputError(f"{SMOOTHNESS}: `order` must be a whole number from 2; got {order!r}.")
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
    """<u, L u> / n of each field of a batch."""
    nodes = math.prod(field.shape[2:])
    parts = [
        field.diff(dim=axis).square().flatten(1).sum(1) / (nodes * step**2)
        for axis, step in enumerate(spacing, start=2)
    ]
    return torch.stack(parts).sum(0)


def _laplacian(field: Tensor, spacing: Sequence[float]) -> Tensor:
    """L u: minus the divergence of the gradient, with no flux through the border."""
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
    """Mean squared difference to the fixed image over its background.

    Parameters
    ----------
    warped, fixed : (N, 1, *S) tensors
        In [0, 1].
    threshold : float
        gamma in [0, 1]: voxels of the fixed image below it are background.
    mask : (N, 1, *S) tensor or None
        Fixed mask, or weights in [0, 1] of the fixed voxels; None for all alike.

    Returns
    -------
    (N,) tensor, squared intensities, in float32 or float64.

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
    r"""Mean squared difference of the moving image and of the warped one carried back, (N,).

    Parameters
    ----------
    moving, warped : (N, 1, \*S) tensors
        M_A and M_D.
    inverse : (N, d, \*S) tensor
        v in voxels, whatever it comes from.
    """
    return (moving - warp(warped, inverse)).square().flatten(1).mean(1)
