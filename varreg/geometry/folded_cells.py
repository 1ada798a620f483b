"""Every cell of a displacement whose bound on det(id + grad u) is too small, and where it lies."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from types import ModuleType

import numpy as np

from .displacement import Float
from .folding import extended, halved

#: Cells that are looked at one by one; larger boxes are bounded as a whole first.
LEAF = 4096
#: Values of a polynomial of degree two at 0, 1/2, 1 -> its Bernstein coefficients.
TO_BERNSTEIN = np.array([[1, 0, 0], [-0.5, 2, -0.5], [0, 0, 1]])


def tight_cells(
    nodes: Float, spacing: Float, constraint: str, below: float, kernels: ModuleType, threads: int
) -> tuple[Float, Float, int]:
    r"""The cells whose bound is at most `below`, tightest first.

    Parameters
    ----------
    nodes : (d, \*m) array
        u at the nodes, in the unit of `spacing`.
    spacing : (d,) array
    constraint : {"zero-mean", "zero-boundary"}
        It decides the cells between the outermost nodes and the border.
    below : float
    kernels : module
    threads : int

    Returns
    -------
    places : (n, d) array
        Centres of the cells, in units of nodes: node j is at j.
    bounds : (n,) array
    cells : int
        How many cells there are in all.

    Examples
    --------
    >>> from varreg.backends import reference
    >>> u = np.zeros((2, 4, 4))
    >>> u[0, 1] = 2.0
    >>> places, bounds, cells = tight_cells(u, np.ones(2), "zero-mean", 0.0, reference, 1)
    >>> places[0].tolist(), float(bounds[0]), len(bounds), cells
    ([1.5, -0.5], -1.0, 5, 25)
    """
    if constraint == "zero-mean":
        field, first, step = extended(nodes), -1.0, 1.0
    else:  # zero half a node spacing beyond the outermost nodes, and linear up to there
        field, first, step = halved(nodes), -0.5, 0.5
    found = list(_tight(field, spacing * step, below, kernels, threads, (0,) * len(nodes)))
    cells = math.prod(n - 1 for n in field.shape[1:])
    if not found:
        return np.zeros((0, len(nodes))), np.zeros(0), cells
    index = np.concatenate([places for places, _ in found])
    bounds = np.concatenate([bounds for _, bounds in found])
    order = np.argsort(bounds, kind="stable")
    return first + step * (index[order] + 0.5), bounds[order], cells


def _tight(
    field: Float, spacing: Float, below: float, kernels: ModuleType, threads: int,
    corner: tuple[int, ...],
) -> Iterator[tuple[Float, Float]]:  # fmt: skip
    """(cells, bounds) of a box of cells, whose halves are looked at only if it is tight itself."""
    cells = tuple(n - 1 for n in field.shape[1:])
    if kernels.determinant_bound(np.ascontiguousarray(field), spacing, threads)[0] > below:
        return
    if math.prod(cells) <= LEAF:
        bounds = cell_bounds(field, spacing)
        tight = np.argwhere(bounds <= below)
        yield tight + np.array(corner), bounds[tuple(tight.T)]
        return
    axis = int(np.argmax(cells))
    middle = cells[axis] // 2
    for start, stop in ((0, middle), (middle, cells[axis])):
        part = (slice(None),) * (axis + 1) + (slice(start, stop + 1),)
        moved = (*corner[:axis], corner[axis] + start, *corner[axis + 1 :])
        yield from _tight(field[part], spacing, below, kernels, threads, moved)


def cell_bounds(field: Float, spacing: Float) -> Float:
    """Lower bound of det(id + grad u) over each cell between nodes, (.. m - 1 ..); exact in 2D."""
    d = len(field)
    # 2D: affine in the position.  3D: of degree two in each coordinate.
    stops = (0.0, 1.0) if d == 2 else (0.0, 0.5, 1.0)
    values = np.array(
        [_determinant(field, spacing, at) for at in itertools.product(stops, repeat=d)]
    )
    values = values.reshape((len(stops),) * d + values.shape[1:])
    if d == 3:
        for axis in range(3):
            values = np.moveaxis(np.tensordot(TO_BERNSTEIN, values, (1, axis)), 0, axis)
    return np.asarray(values.min(axis=tuple(range(d))))


def _determinant(field: Float, spacing: Float, at: tuple[float, ...]) -> Float:
    """det(id + grad u) at the same place `at`, in [0, 1]^d, of every cell."""
    d = len(field)
    columns = []
    for axis in range(d):
        part = np.diff(field, axis=axis + 1) / spacing[axis]
        for other in range(d):
            if other != axis:
                low = np.take(part, range(part.shape[other + 1] - 1), axis=other + 1)
                high = np.take(part, range(1, part.shape[other + 1]), axis=other + 1)
                part = (1 - at[other]) * low + at[other] * high
        part[axis] += 1
        columns.append(part)
    return np.linalg.det(np.moveaxis(np.array(columns), (0, 1), (-1, -2)))
