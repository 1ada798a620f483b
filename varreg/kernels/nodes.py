"""From voxels to nodes: sums of what the voxels of a tile say, weighted by their node weights.

A tile is a box of rows, (first plane, plane after the last, first row, row after the last).  Each
tile adds its rows up into the rows of nodes it touches, voxel by voxel, which compiles to vector
instructions; the tiles are summed in their order, so that the result has the same bits for any number
of threads; only then is anything gathered along the rows.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .rows import fill


@njit(nogil=True, cache=True)
def tile_nodes(tile, where, planes):
    """(first node plane, node planes, first node row, node rows) that a tile touches."""
    i0, i1, j0, j1 = tile
    a, b = np.int64(where.index[0, i0]), np.int64(where.index[0, planes + j0])
    return (
        a, np.int64(where.index[1, i1 - 1]) + 1 - a,
        b, np.int64(where.index[1, planes + j1 - 1]) + 1 - b,
    )  # fmt: skip


@njit(nogil=True, cache=True)
def clear_nodes(out, across, down):
    """out[:, :across, :down] = 0."""
    for d in range(3):
        for a in range(across):
            for b in range(down):
                fill(out[d, a, b], 0, out.shape[3], 0)


@njit(nogil=True, cache=True, forceinline=True, _nrt=False)
def add_row(i, j, planes, a, b, begin, end, where, force, out):
    """Add the force (3, n) of the voxels [begin, end) of row (i, j), times node weights, to out.

    out (3, a', b', n) belongs to a tile whose first node plane and row are a and b.
    """
    pair = planes + j
    for side in range(4):  # two node planes times two node rows
        up, right = side // 2, side % 2
        weight = where.weight[up, i] * where.weight[right, pair]
        if weight != 0:
            p = np.int64(where.index[up, i]) - a
            q = np.int64(where.index[right, pair]) - b
            for k in range(np.uint64(begin), np.uint64(end)):
                out[0, p, q, k] += weight * force[0, k]
                out[1, p, q, k] += weight * force[1, k]
                out[2, p, q, k] += weight * force[2, k]


@njit(nogil=True, cache=True)
def sum_tiles(first, blocks, step, partial, tiles, where, planes, column, rowwise, out):
    """out (3, a, b, c) = the sum of all tiles, partial (T, 3, a', b', n), gathered along the rows.

    Block d sums component d; rowwise (3, a, b, n) is scratch.  The two-node table of the last axis
    stands from `column` on in those of `where`.
    """
    left, right = where.index[0, column:], where.index[1, column:]
    share0, share1 = where.weight[0, column:], where.weight[1, column:]
    for d in range(first, blocks, step):
        for a in range(out.shape[1]):
            for b in range(out.shape[2]):
                fill(rowwise[d, a, b], 0, rowwise.shape[3], 0)
                fill(out[d, a, b], 0, out.shape[3], 0)
        for number in range(tiles.shape[0]):
            a0, across, b0, down = tile_nodes(tiles[number], where, planes)
            for a in range(across):
                for b in range(down):
                    for k in range(rowwise.shape[3]):
                        rowwise[d, a0 + a, b0 + b, k] += partial[number, d, a, b, k]
        for a in range(out.shape[1]):
            for b in range(out.shape[2]):
                for k in range(rowwise.shape[3]):
                    force = rowwise[d, a, b, k]
                    out[d, a, b, left[k]] += share0[k] * force
                    out[d, a, b, right[k]] += share1[k] * force
