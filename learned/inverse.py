r"""Inverse of a displacement on its own grid, and detection of folds.

The inverse displacement v of id + u satisfies :math:`v(x) = -u(x + v(x))` (Chen et al. 2008,
doi 10.1118/1.2816107).  The paper (section 2.1.3 of doi 10.3390/math14122131) uses
:math:`-u(x + u(x))` instead, which is not an inverse: to second order its error is
:math:`2 (\nabla u) u`, twice that of the approximation -u.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from varreg.errors import InputError

from .spatial import identity_grid, warp
from .tensors import check_displacement

METHODS = ("fixed-point", "paper")


def inverse_displacement(u: Tensor, method: str = "fixed-point", iterations: int = 5) -> Tensor:
    r"""Displacement v for which (id + u) o (id + v) approximates the identity; differentiable.

    Parameters
    ----------
    u : (N, d, \*S) tensor
        Displacement in voxels.
    method : {"fixed-point", "paper"}
        "fixed-point" iterates :math:`v \leftarrow -u(x + v(x))` from v = -u.  It is a contraction where
        :math:`|\nabla u| < 1`; :func:`inverse_residual` measures the error.  "paper" is
        :math:`-u(x + u(x))`, for comparison only.
    iterations : int
        Number of fixed-point iterations; 0 for v = -u.  Each stores one warp for the gradient.

    Returns
    -------
    (N, d, \*S) tensor
        v in voxels.

    Raises
    ------
    InputError
        If an argument is invalid.

    Examples
    --------
    >>> import torch
    >>> shift = torch.full((1, 2, 3, 4), 0.25)
    >>> inverse_displacement(shift)[0, 0, 0, 0].item()
    -0.25
    """
    check_displacement("learned.inverse.inverse_displacement", "u", u)
    if method not in METHODS:
        raise InputError(
            "learned.inverse.inverse_displacement: `method` must be one of "
            f"{', '.join(map(repr, METHODS))}; got {method!r}."
        )
    if isinstance(iterations, bool) or not isinstance(iterations, int) or iterations < 0:
        raise InputError(
            "learned.inverse.inverse_displacement: `iterations` must be a whole number >= 0; got "
            f"{iterations!r}."
        )
    if method == "paper":
        return -warp(u, u)
    v = -u
    for _ in range(iterations):
        v = -warp(u, v)
    return v


def inverse_residual(u: Tensor, v: Tensor) -> Tensor:
    r"""Distance between x and ((id + u) o (id + v))(x) at each voxel, (N, 1, \*S) in voxels.

    Parameters
    ----------
    u, v : (N, d, \*S) tensors
        A displacement and its inverse, in voxels.

    Examples
    --------
    >>> import torch
    >>> shift = torch.full((1, 2, 3, 4), 3.0)
    >>> inverse_residual(shift, -shift).max().item()
    0.0
    """
    check_displacement("learned.inverse.inverse_residual", "u", u)
    if u.shape != v.shape:
        raise InputError(
            "learned.inverse.inverse_residual: `u` and `v` must have the same shape; got "
            f"{tuple(u.shape)} and {tuple(v.shape)}."
        )
    return torch.linalg.vector_norm(v + warp(u, v), dim=1, keepdim=True)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """Lower bound of det(id + grad u) in each cell between voxel centres, (N, *(S - 1)).

    In two dimensions it is the minimum in the cell, attained at a corner.  In three dimensions it is the
    smallest of the 27 Bernstein coefficients of the determinant, a polynomial of degree 2 in each
    coordinate (Farin, Curves and Surfaces for CAGD, 5th ed., ch. 5), as in ``varreg.geometry.folding``.

    Parameters
    ----------
    displacement : (N, d, *S) tensor
        u in voxels, on at least two voxels along every axis.

    Examples
    --------
    >>> import torch
    >>> grid = identity_grid((3, 4), torch.zeros(()))
    >>> jacobian_determinant(0.5 * grid[None])[0, 0].tolist()
    [2.25, 2.25, 2.25]
    """
    check_displacement("learned.inverse.jacobian_determinant", "displacement", displacement)
    if min(displacement.shape[2:]) < 2:
        raise InputError(
            "learned.inverse.jacobian_determinant: `displacement` must have at least two voxels along every "
            f"axis; got {tuple(displacement.shape)}."
        )
    d = displacement.shape[1]
    position = displacement + identity_grid(displacement.shape[2:], displacement)
    edges = [position.diff(dim=axis + 2) for axis in range(d)]
    degree = range(d)
    bounds = (_bernstein(edges, index) for index in itertools.product(degree, repeat=d))
    smallest = next(bounds)
    for coefficient in bounds:
        smallest = torch.minimum(smallest, coefficient)
    return smallest


def fold_fraction(displacement: Tensor) -> Tensor:
    """Fraction of the cells with a :func:`jacobian_determinant` that is not above 0, (N,).

    In three dimensions these are the cells that are not proven free of folds.
    """
    return (~(jacobian_determinant(displacement) > 0)).flatten(1).to(displacement.dtype).mean(1)


def _bernstein(edges: list[Tensor], index: tuple[int, ...]) -> Tensor:
    """Bernstein coefficient `index` of the determinant in every cell.

    Column k of the Jacobian matrix is linear in each of the other coordinates, and given by edges with
    one bit per other axis.  The coefficient is the mean of the determinants over all combinations of edges
    whose bits sum to the index along every axis.
    """
    d = len(edges)
    total, count = None, 0
    for bits in itertools.product(*(itertools.product((0, 1), repeat=d - 1) for _ in range(d))):
        full = [
            (*b[:k], 0, *b[k:]) for k, b in enumerate(bits)
        ]  # an edge has no bit along its own axis
        if tuple(map(sum, zip(*full, strict=True))) == index:
            value = _determinant([_edge(edges[k], k, full[k]) for k in range(d)])
            total, count = value if total is None else total + value, count + 1
    assert total is not None
    return total / count


def _edge(edges: Tensor, axis: int, bits: tuple[int, ...]) -> Tensor:
    """Edges along `axis` of all cells, at the positions `bits` along the other axes, (N, d, *cells)."""
    for other, bit in enumerate(bits):
        if other != axis:
            edges = edges.narrow(other + 2, bit, edges.shape[other + 2] - 1)
    return edges


def _determinant(columns: list[Tensor]) -> Tensor:
    """Determinant of d columns (N, d, *cells)."""
    if len(columns) == 2:
        a, b = columns
        return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    a, b, c = columns
    return (a * torch.linalg.cross(b, c, dim=1)).sum(1)
