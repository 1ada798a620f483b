r"""The inverse of a displacement on its own grid, and where there is none: folds.

The inverse v of id + u solves :math:`v(x) = -u(x + v(x))` (Chen et al. 2008,
doi:10.1118/1.2816107).  The paper (section 2.1.3 of doi 10.3390/math14122131) takes
:math:`-u(x + u(x))` instead, which is not an inverse: to second order its error is
:math:`2 (\nabla u) u`, twice that of simply taking -u.
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
    r"""v such that (id + u) o (id + v) is near the identity; differentiable by autograd.

    Parameters
    ----------
    u : (N, d, \*S) tensor
        Displacement in voxels.
    method : {"fixed-point", "paper"}
        "fixed-point" iterates :math:`v \leftarrow -u(x + v(x))` from v = -u.  It contracts where
        :math:`|\nabla u| < 1`; look at :func:`inverse_residual`.  "paper" is
        :math:`-u(x + u(x))`, for comparison only.
    iterations : int
        Steps of the fixed point; 0 is v = -u.  Every step keeps one warp for the derivative.

    Returns
    -------
    (N, d, \*S) tensor, in voxels.

    Raises
    ------
    InputError
        If u is no displacement, or the method or the number of iterations makes no sense.

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
            "learned.inverse.inverse_displacement: `iterations` must be a whole number from 0; got "
            f"{iterations!r}."
        )
    if method == "paper":
        return -warp(u, u)
    v = -u
    for _ in range(iterations):
        v = -warp(u, v)
    return v


def inverse_residual(u: Tensor, v: Tensor) -> Tensor:
    r"""How far (id + u) o (id + v) takes each voxel from where it was, (N, 1, \*S) voxels.

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
            "learned.inverse.inverse_residual: `u` and `v` must be of one shape; got "
            f"{tuple(u.shape)} and {tuple(v.shape)}."
        )
    return torch.linalg.vector_norm(v + warp(u, v), dim=1, keepdim=True)


def jacobian_determinant(displacement: Tensor) -> Tensor:
    """A lower bound of det(id + grad u) over each cell between voxel centres, (N, *(S - 1)).

    Two dimensions: the smallest value in the cell, which a corner takes.  Three dimensions: the
    smallest of the 27 Bernstein coefficients of the determinant, a polynomial of degree 2 in each
    coordinate (Farin, Curves and Surfaces for CAGD, 5th ed., ch. 5), as in ``varreg.geometry.folding``.

    Parameters
    ----------
    displacement : (N, d, *S) tensor
        Voxels; at least two along every axis.

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
            "learned.inverse.jacobian_determinant: `displacement` must have two voxels along every "
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
    """Share of the cells whose :func:`jacobian_determinant` is not above 0, (N,).

    In three dimensions, of the cells that are not proved to be free of folds.
    """
    return (~(jacobian_determinant(displacement) > 0)).flatten(1).to(displacement.dtype).mean(1)


def _bernstein(edges: list[Tensor], index: tuple[int, ...]) -> Tensor:
    """The Bernstein coefficient `index` of the determinant in every cell.

    Column k of the Jacobian matrix is linear in each of the other coordinates: its edges differ by
    a bit along each.  The coefficient is the mean of the determinants of edges whose bits add up to
    the index along every axis.
    """
    d = len(edges)
    total, count = None, 0
    for bits in itertools.product(*(itertools.product((0, 1), repeat=d - 1) for _ in range(d))):
        full = [(*b[:k], 0, *b[k:]) for k, b in enumerate(bits)]  # no bit along its own axis
        if tuple(map(sum, zip(*full, strict=True))) == index:
            value = _determinant([_edge(edges[k], k, full[k]) for k in range(d)])
            total, count = value if total is None else total + value, count + 1
    assert total is not None
    return total / count


def _edge(edges: Tensor, axis: int, bits: tuple[int, ...]) -> Tensor:
    """Edges along `axis` of all cells, those at `bits` along the other axes; (N, d, *cells)."""
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
