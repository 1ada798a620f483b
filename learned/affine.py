r"""Affine maps, and their displacements.

They act on centred coordinates with the same unit along every axis,

.. math:: c(x) = \frac{x - (n - 1) / 2}{h / 2}, \qquad y_c = A \binom{c}{1},

with h the longest axis, max(n).  A cascade maps the fixed voxel x to :math:`A(x + u(x))`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from varreg.errors import InputError

from .spatial import identity_grid, per_axis
from .tensors import check_displacement, without_autocast


def affine_displacement(
    affine: Tensor, shape: Sequence[int], extent: Sequence[float] | None = None
) -> Tensor:
    """Displacement of an affine map, (N, d, *S) in voxels; exactly 0 for the identity.

    Parameters
    ----------
    affine : (N, d, d + 1) tensor
        On centred coordinates.
    shape : tuple of int
        (*S).
    extent : tuple of float, optional
        See :func:`compose_affine`.

    Examples
    --------
    >>> import torch
    >>> shift = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]])
    >>> affine_displacement(shift, (2, 4))[0, :, 0, 0].tolist()
    [0.0, 1.0]
    """
    return compose_affine(affine, affine.new_zeros(len(affine), len(shape), *shape), extent)


def compose_affine(
    affine: Tensor, displacement: Tensor, extent: Sequence[float] | None = None
) -> Tensor:
    """Displacement of the total map x -> A(x + u(x)), (N, d, *S) in voxels.

    The affine map is evaluated exactly at x + u(x), not interpolated.

    Parameters
    ----------
    affine : (N, d, d + 1) tensor
        On centred coordinates.
    displacement : (N, d, *S) tensor
        u, voxels.
    extent : tuple of float, optional
        Size of the field of view along each axis, in a common unit; by default S, for isotropic voxels.
        Voxels of a coarse grid with rounded sizes are not isotropic: pass the sizes of the full grid, so
        that the same matrix describes the same map.

    Examples
    --------
    >>> import torch
    >>> grow = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]])
    >>> compose_affine(grow, torch.ones(1, 2, 3, 3))[0, 0, :, 0].tolist()
    [1.0, 2.0, 3.0]
    """
    check_displacement("learned.affine.compose_affine", "displacement", displacement)
    shape, d = displacement.shape[2:], displacement.shape[1]
    if affine.shape != (len(displacement), d, d + 1):
        raise InputError(
            f"learned.affine.compose_affine: `affine` must be {(len(displacement), d, d + 1)} for "
            f"a displacement {tuple(displacement.shape)}; got {tuple(affine.shape)}."
        )
    extent = tuple(shape) if extent is None else extent
    if len(extent) != d or not all(0 < size < math.inf for size in extent):
        raise InputError(
            f"learned.affine.compose_affine: `extent` must be {d} sizes above 0; got {extent}."
        )
    size = per_axis([e / n for e, n in zip(extent, shape, strict=True)], displacement)
    centre = per_axis([(n - 1) / 2 for n in shape], displacement)
    position = (identity_grid(shape, displacement) - centre + displacement) * size
    change = affine[..., :-1] - torch.eye(d, dtype=affine.dtype, device=affine.device)
    with without_autocast(displacement):
        moved = torch.einsum("nij,nj...->ni...", change, position)
    shift = affine[..., -1] * (max(extent) / 2)
    return displacement + (moved + shift.reshape(*shift.shape, *[1] * d)) / size


def fitted_affine(displacement: Tensor) -> Tensor:
    r"""Least-squares fit of an affine map to x -> x + u(x) over all voxels, (N, d, d + 1).

    Parameters
    ----------
    displacement : (N, d, \*S) tensor
        u in isotropic voxels.

    Examples
    --------
    >>> import torch
    >>> affine = torch.tensor([[[1.1, 0.2, 0.3], [0.0, 0.9, -0.1]]])
    >>> torch.allclose(fitted_affine(affine_displacement(affine, (8, 6))), affine, atol=1e-5)
    True
    """
    shape, d = displacement.shape[2:], displacement.shape[1]
    half = max(shape) / 2
    # centred coordinates along different axes are uncorrelated over the grid
    axes = [(torch.arange(n, dtype=torch.float64) - (n - 1) / 2) / half for n in shape]
    moved = displacement.double() / half
    spread = [float(axis.square().mean()) or 1.0 for axis in axes]
    columns = []
    for k, axis in enumerate(axes):
        others = tuple(2 + j for j in range(d) if j != k)
        profile = moved.mean(others) if others else moved
        columns.append((profile * axis.to(moved)).mean(-1) / spread[k])
    shift = moved.flatten(2).mean(2)
    change = torch.stack((*columns, shift), -1)
    identity = torch.eye(d, d + 1, dtype=torch.float64, device=displacement.device)
    return (identity + change).to(displacement.dtype)


def without_affine(
    displacement: Tensor, affine: Tensor, extent: Sequence[float] | None = None
) -> Tensor:
    r"""Displacement u in the decomposition x -> A(x + u(x)) of a total map, (N, d, \*S) in voxels.

    Parameters
    ----------
    displacement : (N, d, \*S) tensor
        Displacement of the total map, voxels.
    affine : (N, d, d + 1) tensor
        A, on centred coordinates.
    extent : tuple of float, optional
        See :func:`compose_affine`.

    Examples
    --------
    >>> import torch
    >>> affine, total = torch.tensor([[[1.1, 0.2, 0.3], [0.0, 0.9, -0.1]]]), torch.rand(1, 2, 5, 6)
    >>> torch.allclose(compose_affine(affine, without_affine(total, affine)), total, atol=1e-5)
    True
    """
    matrix = torch.cat((affine, affine.new_zeros(len(affine), 1, affine.shape[2])), 1)
    matrix[:, -1, -1] = 1
    inverse = torch.linalg.inv(matrix.double())[:, :-1].to(displacement.dtype)
    return compose_affine(inverse, displacement, extent)
