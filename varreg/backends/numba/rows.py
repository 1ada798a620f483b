"""Mapped positions of a row of the fixed image, and its division into stretches.

The map of a level in voxels is y(i) = W (i, 1) + V u(i), with u interpolated linearly between nodes.
A row is divided into five stretches:

    0 ... start ... begin ... end ... stop ... n

Voxels in [start, stop) map inside the moving image and have weight 1; among them, those outside
[begin, end) map to background only, with the lowest value and zero gradient.  Voxels before `start`
and from `stop` on may be out of view.  With cubic interpolation or a moving mask, all voxels are treated
as possibly out of view.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..arrays import PATCH, Array
from .compiled import expanded, part

#: Distance from the foreground beyond which a voxel maps to background only; the excess over 1 allows for
#: rounding errors of positions.
MARGIN = 1.01
#: Margin by which the bounds of positions must be in view.
SAFE = 0.01
#: Largest displacement and position (voxels) whose rounding errors in float32 are below that margin.
LARGEST_DISPLACEMENT, LARGEST_POSITION = 2.0**12, 2.0**15


class Stretches(NamedTuple):
    """Boundaries of the stretches of a row."""

    start: int
    begin: int
    end: int
    stop: int


class Placement(NamedTuple):
    """Workspace of one thread."""

    plane: Array  # (3, b', n) V u of one plane, at the node rows of a tile
    bounds: Array  # (2, 3, b') smallest and largest value along each node row, including 0; infinite if too large
    line: Array  # (columns,) one node row
    limits: Array  # (2, 3) bounds of the positions of a row
    origin: Array  # (3,) position of the first voxel of a row, without u
    y: Array  # (3, n) positions in the moving image


@expanded
def allocate_placement(n, nodes):
    """Allocate a :class:`Placement` for rows of n voxels, in the precision of the nodes."""
    kind, node_rows = nodes.dtype, nodes.shape[2]
    return Placement(
        np.empty((3, node_rows, n), kind), np.empty((2, 3, node_rows), kind),
        np.empty(nodes.shape[3], kind), np.empty((2, 3), kind), np.empty(3, kind),
        np.empty((3, n), kind),
    )  # fmt: skip


@part(forceinline=True)
def fill_plane(i, first, count, column, nodes, where, row):
    """V u of plane i at the node rows [first, first + count): ``plane`` and ``bounds`` of `row`.

    The interpolation table of the last axis starts at `column` in the tables of `where`.
    """
    a, b, w, v = where.index[0, i], where.index[1, i], where.weight[0, i], where.weight[1, i]
    line, index, weight = row.line, where.index, where.weight
    left, right = index[0, column:], index[1, column:]
    left_weight, right_weight = weight[0, column:], weight[1, column:]
    for d in range(3):
        v0, v1, v2 = (
            where.displacement_matrix[d, 0],
            where.displacement_matrix[d, 1],
            where.displacement_matrix[d, 2],
        )
        for j in range(count):
            low = high = v0 * 0  # includes 0, the border value under the zero-boundary constraint
            for c in range(line.size):
                u0 = w * nodes[0, a, first + j, c] + v * nodes[0, b, first + j, c]
                u1 = w * nodes[1, a, first + j, c] + v * nodes[1, b, first + j, c]
                u2 = w * nodes[2, a, first + j, c] + v * nodes[2, b, first + j, c]
                line[c] = v0 * u0 + v1 * u1 + v2 * u2
                low, high = min(low, line[c]), max(high, line[c])
            finite = 0  # min and max ignore NaN
            for c in range(np.uint64(line.size)):
                finite += abs(line[c]) <= LARGEST_DISPLACEMENT
            if finite < line.size:
                low, high = -np.inf, np.inf
            row.bounds[0, d, j], row.bounds[1, d, j] = low, high
            for k in range(left_weight.size):
                row.plane[d, j, k] = (
                    left_weight[k] * line[left[k]] + right_weight[k] * line[right[k]]
                )


@part(forceinline=True)
def place_row(i, j, first, planes, moving, mask, where, row):
    """Positions of row (i, j), and its :class:`Stretches`.

    :func:`fill_plane` must have been called for plane i with `first`.
    """
    shape, n, linear, x = moving.image.shape, row.y.shape[1], where.linear, where.coordinate
    pair = planes + j
    j0, j1 = np.int64(where.index[0, pair]) - first, np.int64(where.index[1, pair]) - first
    w0, w1, limits, far = where.weight[0, pair], where.weight[1, pair], row.limits, x[n - 1]
    low = high = origin = w0 * 0
    exact = True
    for d in range(3):
        low = w0 * row.bounds[0, d, j0] + w1 * row.bounds[0, d, j1]
        high = w0 * row.bounds[1, d, j0] + w1 * row.bounds[1, d, j1]
        origin = linear[d, 0] * x[i] + linear[d, 1] * x[j] + linear[d, 3]
        end = origin + linear[d, 2] * far
        limits[0, d], limits[1, d] = min(origin, end) + low, max(origin, end) + high
        row.origin[d] = origin
        exact &= abs(origin) <= LARGEST_POSITION and abs(end) <= LARGEST_POSITION
    _positions(n, j0, j1, w0, w1, where, row)
    if mask is not None:
        return Stretches(0, 0, 0, 0)
    near = beyond = 0
    # otherwise: large rotation, row near the border, or positions so large that rounding invalidates the bounds
    if exact and linear[2, 2] > 0.1 and _across_in_view(shape, limits):
        near, beyond = _between(SAFE, shape[2] - 1 - SAFE, n, origin, linear[2, 2], low, high)
    if near >= beyond:
        start, stop = _in_view(row.y, shape)
        return Stretches(start, start, stop, stop)
    start, stop = _grown(near, beyond, row.y, shape)
    first_voxel, last_voxel = _content(limits, moving.content)
    begin, end = _between(
        first_voxel - MARGIN, last_voxel + MARGIN, n, origin, linear[2, 2], high, low
    )
    begin, end = max(begin, start), min(end, stop)
    if first_voxel > last_voxel or end <= begin:
        return Stretches(start, start, start, stop)
    return Stretches(start, begin, end, stop)


@expanded
def _positions(n, j0, j1, w0, w1, where, row):
    """Positions in the moving image of all voxels of a row."""
    x, y, plane, linear, origin = where.coordinate, row.y, row.plane, where.linear, row.origin
    o0, o1, o2 = origin[0], origin[1], origin[2]
    r0, r1, r2 = linear[0, 2], linear[1, 2], linear[2, 2]
    for k in range(n):
        y[0, k] = o0 + r0 * x[k] + (w0 * plane[0, j0, k] + w1 * plane[0, j1, k])
        y[1, k] = o1 + r1 * x[k] + (w0 * plane[1, j0, k] + w1 * plane[1, j1, k])
        y[2, k] = o2 + r2 * x[k] + (w0 * plane[2, j0, k] + w1 * plane[2, j1, k])


@expanded
def _between(first, last, n, origin, advance, low, high):
    """Voxels k of a row with first <= origin + advance k + low and origin + advance k + high <= last."""
    begin = math.ceil((first - origin - low) / advance)
    end = math.floor((last - origin - high) / advance) + 1
    return int(min(max(begin, 0), n)), int(min(max(end, 0), n))


@expanded
def _across_in_view(shape, limits):
    """Whether a row is in view along the first two axes."""
    inside = limits[0, 0] >= 0 and limits[1, 0] <= shape[0] - 1
    return inside and limits[0, 1] >= 0 and limits[1, 1] <= shape[1] - 1


@expanded
def _inside(k, y, shape):
    return (
        0 <= y[0, k] <= shape[0] - 1
        and 0 <= y[1, k] <= shape[1] - 1
        and 0 <= y[2, k] <= shape[2] - 1
    )


@expanded
def _grown(near, beyond, y, shape):
    """Stretch of voxels in view, extended from [near, beyond), which is in view."""
    start, stop = near, beyond
    while start > 0 and _inside(start - 1, y, shape):
        start -= 1
    while stop < y.shape[1] and _inside(stop, y, shape):
        stop += 1
    return start, stop


@expanded
def _in_view(y, shape):
    """Stretch [start, stop) of voxels in view; empty if they are not contiguous."""
    start, stop, inside = 0, y.shape[1], 0
    while start < stop and not _inside(start, y, shape):
        start += 1
    while stop > start and not _inside(stop - 1, y, shape):
        stop -= 1
    last0, last1, last2 = shape[0] - 1, shape[1] - 1, shape[2] - 1
    for k in range(np.uint64(start), np.uint64(stop)):
        inside += (
            (y[0, k] >= 0) & (y[0, k] <= last0) & (y[1, k] >= 0) & (y[1, k] <= last1)
            & (y[2, k] >= 0) & (y[2, k] <= last2)
        )  # fmt: skip
    return (start, stop) if inside == stop - start else (0, 0)


@expanded
def _content(limits, content):
    """First and last foreground voxel in the rows of the moving image within the limits.

    content (p', q', 2) holds them for patches of rows; the limits are in view.
    """
    first, last = np.inf, -1.0
    p0, p1 = max(int(limits[0, 0]) // PATCH, 0), int(limits[1, 0] + 1) // PATCH + 1
    q0, q1 = max(int(limits[0, 1]) // PATCH, 0), int(limits[1, 1] + 1) // PATCH + 1
    for p in range(p0, min(p1, content.shape[0])):
        for q in range(q0, min(q1, content.shape[1])):
            first = min(first, content[p, q, 0])
            last = max(last, content[p, q, 1])
    return first, last


@part(forceinline=True)
def fill(target, start, stop, value):
    """target[start:stop] = value; every slice assignment would add half a second of compilation."""
    for k in range(start, stop):
        target[k] = value
