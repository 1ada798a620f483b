"""Warping of the moving image to the fixed grid, and backprojection of derivatives to the nodes.

``warp`` computes the moving value and the weight in view at every fixed voxel; ``backproject`` is its
transposed derivative, from dE/dvalue and dE/dweight at the voxels to dE/dy at the nodes.  Any
similarity can be built on these two; joint histograms have fused kernels (:mod:`varreg.backends.numba.histogram`).
"""

from __future__ import annotations

from .compiled import kernel
from .nodes import add_row, clear_nodes, tile_nodes
from .row_values import allocate_values, forces, gradients, values
from .rows import allocate_placement, fill, fill_plane, place_row


@kernel
def warp(first, stop, moving, mask, where, nodes, tiles, value, weight, full):
    """Moving value and weight at every fixed voxel, for the tiles first, ..., stop - 1.

    Parameters
    ----------
    first, stop : int
    moving : Moving
    mask : (p, q, r) array or None
        None for linear interpolation without a mask, with rows processed in stretches; else weights in [0, 1],
        of size 0 if all are 1.
    where : VoxelMap
    nodes : (3, a, b, c) array
    tiles : (T, 4) int array
        Boxes of rows: see :mod:`varreg.backends.numba.nodes`.
    value, weight : (*S) arrays, output
        Warped value; weight in [0, 1].
    full : (rows,) uint8 array, output
        1 for rows whose weights are all 1.
    """
    planes, rows, n = value.shape
    placement, row = allocate_placement(n, nodes), allocate_values(n, nodes)
    flat = moving.image.ravel()
    for tile in range(first, stop):
        _, _, b, down = tile_nodes(tile, tiles, where, planes)
        for i in range(tiles[tile, 0], tiles[tile, 1]):
            fill_plane(i, b, down, planes + rows, nodes, where, placement)
            for j in range(tiles[tile, 2], tiles[tile, 3]):
                part = place_row(i, j, b, planes, moving, mask, where, placement)
                fill(row.value, part.start, part.begin, moving.low)
                fill(row.value, part.end, part.stop, moving.low)
                fill(row.weight, part.start, part.stop, 1)
                values(part, placement.y, moving, flat, mask, row)
                full[i * rows + j] = part.start == 0 and part.stop == n
                for k in range(n):
                    value[i, j, k] = row.value[k]
                for k in range(n):
                    weight[i, j, k] = row.weight[k]


@kernel
def backproject(first, stop, moving, mask, where, nodes, tiles, slope, weight_slope, out):
    """dE/dy at every voxel, summed at the rows of nodes of each tile.

    Parameters
    ----------
    first, stop, moving, mask, where, nodes, tiles
        As for :func:`warp`.
    slope, weight_slope : (*S) arrays
        dE/dvalue and dE/dweight.
    out : (T, 3, a', b', n) array, output
        Sums of dE/dy of the voxels times the weights of their node rows.
    """
    planes, rows, n = slope.shape
    placement, row = allocate_placement(n, nodes), allocate_values(n, nodes)
    flat = moving.image.ravel()
    for tile in range(first, stop):
        a, across, b, down = tile_nodes(tile, tiles, where, planes)
        clear_nodes(tile, across, down, out)
        for i in range(tiles[tile, 0], tiles[tile, 1]):
            fill_plane(i, b, down, planes + rows, nodes, where, placement)
            for j in range(tiles[tile, 2], tiles[tile, 3]):
                part = place_row(i, j, b, planes, moving, mask, where, placement)
                gradients(part, placement.y, moving, flat, mask, row)
                for k in range(n):
                    row.slope[k] = slope[i, j, k]
                for k in range(n):
                    row.weight_slope[k] = weight_slope[i, j, k]
                forces(part, row)
                for low, high in ((0, part.start), (part.begin, part.end), (part.stop, n)):
                    add_row(tile, i, j, planes, a, b, low, high, where, row.gradient, out)
