"""Backprojection from voxels to nodes: sums over voxels weighted by the interpolation weights of the nodes.

A tile is a box of rows, (first plane, plane after the last, first row, row after the last).  The rows of
each tile are first summed, voxel by voxel, into the rows of nodes that they touch, in vectorised loops; then the
tiles are summed in fixed order, so that the result is bitwise independent of the number of threads; finally
the voxels are gathered along the rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, VoxelMap, Workspace
from ..threads import run
from .compiled import kernel, part

#: Sums over fewer entries take less time than starting a thread.
LEAST_ENTRIES_FOR_THREADS = 2**18


@part(forceinline=True)
def tile_nodes(tile, tiles, where, planes):
    """Nodes that a tile touches: (first node plane, node planes, first node row, node rows)."""
    i0, i1, j0, j1 = tiles[tile, 0], tiles[tile, 1], tiles[tile, 2], tiles[tile, 3]
    a, b = np.int64(where.index[0, i0]), np.int64(where.index[0, planes + j0])
    return (
        a, np.int64(where.index[1, i1 - 1]) + 1 - a,
        b, np.int64(where.index[1, planes + j1 - 1]) + 1 - b,
    )  # fmt: skip


def most_nodes(tiles: NDArray[np.int64], where: VoxelMap, planes: int) -> tuple[int, int]:
    """Largest numbers (node planes, node rows) that a tile touches: see :func:`tile_nodes`."""
    first, last = where.index[0].astype(np.int64), where.index[1].astype(np.int64)
    across = last[tiles[:, 1] - 1] - first[tiles[:, 0]]
    down = last[planes + tiles[:, 3] - 1] - first[planes + tiles[:, 2]]
    return int(across.max()) + 1, int(down.max()) + 1


@part(forceinline=True)
def clear_nodes(tile, across, down, out):
    """out[tile, :, :across, :down] = 0."""
    for d in range(3):
        for a in range(across):
            for b in range(down):
                for k in range(out.shape[4]):
                    out[tile, d, a, b, k] = 0


@part(forceinline=True)
def add_row(tile, i, j, planes, a, b, begin, end, where, force, out):
    """Add the force (3, n) on the voxels [begin, end) of row (i, j), times node weights, to out[tile].

    out is (T, 3, a', b', n); a and b are the first node plane and row of the tile.
    """
    pair = planes + j
    for side in range(4):  # two node planes times two node rows
        up, right = side // 2, side % 2
        weight = where.weight[up, i] * where.weight[right, pair]
        if weight != 0:
            p = np.int64(where.index[up, i]) - a
            q = np.int64(where.index[right, pair]) - b
            for k in range(np.uint64(begin), np.uint64(end)):
                out[tile, 0, p, q, k] += weight * force[0, k]
                out[tile, 1, p, q, k] += weight * force[1, k]
                out[tile, 2, p, q, k] += weight * force[2, k]


@kernel
def sum_tiles(first, stop, partial, tiles, where, planes, column, rowwise, out):
    """Sum of all tiles, gathered along the rows, for the components first, ..., stop - 1.

    Parameters
    ----------
    partial : (T, 3, a', b', n) array
        Sums of each tile at its rows of nodes.
    column : int
        Start of the last axis in the interpolation tables of `where`.
    rowwise : (3, a, b, n) array
        Workspace.
    out : (3, a, b, c) array, output
    """
    length = rowwise.shape[3]
    for d in range(first, stop):
        for a in range(out.shape[1]):
            for b in range(out.shape[2]):
                for k in range(length):
                    rowwise[d, a, b, k] = 0
                for k in range(out.shape[3]):
                    out[d, a, b, k] = 0
        for tile in range(tiles.shape[0]):
            a0, across, b0, down = tile_nodes(tile, tiles, where, planes)
            for a in range(across):
                for b in range(down):
                    for k in range(np.uint64(length)):
                        rowwise[d, a0 + a, b0 + b, k] += partial[tile, d, a, b, k]
        for a in range(out.shape[1]):
            for b in range(out.shape[2]):
                for k in range(np.uint64(length)):
                    force, left = rowwise[d, a, b, k], where.index[0, column + k]
                    right = where.index[1, column + k]
                    out[d, a, b, left] += where.weight[0, column + k] * force
                    out[d, a, b, right] += where.weight[1, column + k] * force


def sums_at_nodes(
    kernel: Callable[..., None], images: tuple, more: tuple, shape: tuple[int, ...], tiles: NDArray[np.int64],
    workspace: Workspace, threads: int,
) -> Array:  # fmt: skip
    """Run a kernel that sums at the rows of nodes of each tile, and sum all tiles.

    Parameters
    ----------
    kernel : callable
        Computes the tiles first, ..., stop - 1 of the sums (T, 3, a', b', n), its last argument.
    images : (Moving, mask, VoxelMap, nodes)
    more : tuple
        Further arguments of the kernel.
    shape : (3,) tuple of int
        Shape of the fixed image.
    tiles : (T, 4) int array
    workspace : Workspace
    threads : int

    Returns
    -------
    (3, a, b, c) array
        Sums at the nodes, valid until the next call.
    """
    *_, where, nodes = images
    planes, rows, n = shape
    touched = workspace.once(
        "touched", (tiles, where.index), lambda: most_nodes(tiles, where, planes)
    )
    partial = workspace.array("partial", (len(tiles), 3, *touched, n), nodes.dtype)
    run(kernel, len(tiles), threads, *images, *more, partial)
    rowwise = workspace.array("rowwise", (*nodes.shape[:3], n), nodes.dtype)
    out = workspace.array("nodes", nodes.shape, nodes.dtype)
    workers = threads if partial.size > LEAST_ENTRIES_FOR_THREADS else 1
    run(sum_tiles, 3, workers, partial, tiles, where, planes, planes + rows, rowwise, out)
    return out
