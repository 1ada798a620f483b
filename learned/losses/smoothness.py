r"""The smoothness term of the solver, on displacements of a batch.

On n nodes with spacing h_k along axis k,

.. math:: R(u) = \frac1n \sum_c \langle u_c, (L + \ell^{2m-2} L^m) u_c \rangle, \qquad
          L = \sum_k D_k^T D_k / h_k^2,

with D_k the forward differences along axis k, none across the border: no flux, so that nothing pulls
border vectors to zero.  With :math:`\ell = 0` it is the H1 term of the paper,
:math:`\mathrm{mean}\,|\nabla u|^2` (section 2.3.1 of doi 10.3390/math14122131).  It is
:class:`varreg.energy.smoothness.Smoothness` with zero mean, by repeated differences instead of cosines.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from varreg.errors import InputError

from ..field_checks import check_displacement
from .arguments import single_or_double

NAME = "learned.losses.smoothness"


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
    check_displacement(NAME, "displacement", displacement)
    spacing = _spacing(spacing, displacement.shape[1])
    if not (isinstance(length, (int, float)) and 0 <= length < math.inf):
        raise InputError(f"{NAME}: `length` must be a number of voxels from 0; got {length!r}.")
    if isinstance(order, bool) or not isinstance(order, int) or order < 2:
        raise InputError(f"{NAME}: `order` must be a whole number from 2; got {order!r}.")
    field = single_or_double(displacement)
    value = _squared_gradient(field, spacing)
    if length > 0:
        high = field
        for _ in range(order // 2):
            high = _laplacian(high, spacing)
        squared = _squared_gradient(high, spacing) if order % 2 else _mean_square(high)
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


def _mean_square(field: Tensor) -> Tensor:
    """<u, u> / n of each field of a batch."""
    return field.square().flatten(1).sum(1) / math.prod(field.shape[2:])


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
            f"{NAME}: `spacing` must be {dimension} positive numbers of voxels; got {spacing!r}."
        )
    return spacing
