"""Location of the cells of a displacement grid that fold or nearly fold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from types import ModuleType

import numpy as np

from ..backends.numpy.folding import cell_bounds
from .displacement import Float
from .folding import extended, halved

#: Most cells that are bounded one by one; larger boxes are first bounded as a whole.
LEAF = 4096


def nearly_folded_cells(
    nodes: Float, spacing: Float, constraint: str, below: float, kernels: ModuleType, threads: int
) -> tuple[Float, Float, int]:
    r"""Cells whose lower bound of det(id + grad u) is at most `below`, in increasing order of the bound.

    Parameters
    ----------
    nodes : (d, \*m) array
        u at the nodes, in the unit of `spacing`.
    spacing : (d,) array
        Node spacing.
    constraint : {"zero-mean", "zero-boundary"}
        Constraint of the displacement, which determines the cells between the outermost nodes and the border.
    below : float
        Threshold of the bound.
    kernels : module
        The backend.
    threads : int

    Returns
    -------
    places : (n, d) array
        Centres of the cells in node coordinates.
    bounds : (n,) array
        Lower bounds of det(id + grad u).
    cells : int
        Total number of cells.

    Examples
    --------
    >>> from varreg.backends.numpy import backend
    >>> u = np.zeros((2, 4, 4))
    >>> u[0, 1] = 2.0
    >>> places, bounds, cells = nearly_folded_cells(u, np.ones(2), "zero-mean", 0.0, backend, 1)
    >>> places[0].tolist(), float(bounds[0]), len(bounds), cells
    ([1.5, -0.5], -1.0, 5, 25)
    """
    if constraint == "zero-mean":
        field, first, step = extended(nodes), -1.0, 1.0
    else:  # linear to zero at half a node spacing beyond the outermost nodes
        field, first, step = halved(nodes), -0.5, 0.5
    found = list(_below(field, spacing * step, below, kernels, threads, (0,) * len(nodes)))
    cells = math.prod(n - 1 for n in field.shape[1:])
    if not found:
        return np.zeros((0, len(nodes))), np.zeros(0), cells
    index = np.concatenate([places for places, _ in found])
    bounds = np.concatenate([bounds for _, bounds in found])
    order = np.argsort(bounds, kind="stable")
    return first + step * (index[order] + 0.5), bounds[order], cells


def _below(
    field: Float, spacing: Float, below: float, kernels: ModuleType, threads: int,
    corner: tuple[int, ...],
) -> Iterator[tuple[Float, Float]]:  # fmt: skip
    """(cells, bounds) within a box of cells, by bisection of the boxes whose bound is at most `below`."""
    cells = tuple(n - 1 for n in field.shape[1:])
    if kernels.determinant_bound(np.ascontiguousarray(field), spacing, threads)[0] > below:
        return
    if math.prod(cells) <= LEAF:
        bounds = cell_bounds(field, spacing)
        found = np.argwhere(bounds <= below)
        yield found + np.array(corner), bounds[tuple(found.T)]
        return
    axis = int(np.argmax(cells))
    middle = cells[axis] // 2
    for start, stop in ((0, middle), (middle, cells[axis])):
        part = (slice(None),) * (axis + 1) + (slice(start, stop + 1),)
        moved = (*corner[:axis], corner[axis] + start, *corner[axis + 1 :])
        yield from _below(field[part], spacing, below, kernels, threads, moved)
