"""Fused kernels: joint histograms from the moving image, and backprojection of their derivatives to the nodes.

In the fine histogram the fixed value is a bin index, and the warped moving value (in bins) is distributed by a
quadratic B-spline over three bins; the table is smoothed afterwards.  Neither the warped image nor
its derivative is stored: each row is interpolated and binned at once.
"""

from __future__ import annotations

import math

import numpy as np

from .compiled import expanded, kernel, part
from .nodes import add_row, clear_nodes, tile_nodes
from .row_values import allocate_values, forces, gradients, values
from .rows import allocate_placement, fill, fill_plane, place_row

#: Relative rounding error of differences of sums of weights.
ROUNDING = 1e-9


@kernel
def joint_histograms(first, stop, moving, mask, where, nodes, fixed, weight, out):
    """Joint histograms of the tiles first, ..., stop - 1.

    Parameters
    ----------
    first, stop : int
    moving, mask, where, nodes
        As for :func:`varreg.backends.numba.warping.warp`.
    fixed : HistogramRows
    weight : (planes, rows, n) array or None
        Weights of the fixed voxels, if not all are 1.
    out : (T L + T, B) float64 array, output
        Sums of weights, L rows for each tile; the last axis is the moving bin.  The last T rows collect
        the voxels outside the mask.
    """
    tiles, table, flat = fixed.tiles, out.ravel(), moving.image.ravel()
    planes, rows, n = fixed.row.shape
    height, bins = fixed.voxels.shape[1], out.shape[1]
    placement, row = allocate_placement(n, nodes), allocate_values(n, nodes)
    missing = np.empty(height)  # weight lost out of view, by row of the tables
    for tile in range(first, stop):
        _, _, b, down = tile_nodes(tile, tiles, where, planes)
        base, nowhere = tile * height, tiles.shape[0] * height + tile
        fill(table, base * bins, (base + height) * bins, 0)
        fill(missing, 0, height, 0)
        for i in range(tiles[tile, 0], tiles[tile, 1]):
            fill_plane(i, b, down, planes + rows, nodes, where, placement)
            for j in range(tiles[tile, 2], tiles[tile, 3]):
                if fixed.occupied[i, j]:
                    part = place_row(i, j, b, planes, moving, mask, where, placement)
                    values(part, placement.y, moving, flat, mask, row)
                    _add_row(
                        i, j, part.begin, part.end, fixed.row, weight, base, nowhere, row.value, bins,
                        table,
                    )  # fmt: skip
                    for low, high in ((0, part.start), (part.stop, n)):
                        _add_weighted(
                            i, j, low, high, fixed.row, weight, base, row, bins, table, missing
                        )
        _add_background(tile, base, fixed.voxels, weight, missing, moving.low, bins, table)


@part(forceinline=True)
def _add_background(tile, base, total, weight, missing, low, bins, table):
    """Add the voxels that map to background only: the difference of the total and of all other contributions.

    Without weights the difference is rounded to an integer; otherwise rounding errors are discarded.
    """
    for f in range(total.shape[1]):
        rest = total[tile, f] - missing[f]
        for m in range(bins):
            rest -= table[(base + f) * bins + m]
        least = 0.0
        if weight is None:
            rest = math.floor(rest + 0.5)
        else:
            least = ROUNDING * total[tile, f]
        if rest > least:
            _add(table, (base + f) * bins, low, rest)


@expanded
def _add(table, row, m, w):
    """Distribute weight w over three moving bins of the table row that starts at `row`."""
    centre = int(m + 0.5)
    t = m - centre
    below, above = 0.5 - t, 0.5 + t
    table[row + centre - 1] += w * (0.5 * below * below)
    table[row + centre] += w * (0.75 - t * t)
    table[row + centre + 1] += w * (0.5 * above * above)


@part(forceinline=True)
def _add_row(i, j, begin, end, table_row, weight, base, nowhere, value, bins, table):
    for k in range(np.uint64(begin), np.uint64(end)):
        f = table_row[i, j, k]
        w = 1.0
        if weight is not None:
            w = float(weight[i, j, k])
        _add(table, (base + f if f >= 0 else nowhere) * bins, value[k], w)


@part(forceinline=True)
def _add_weighted(i, j, first, stop, table_row, weight, base, row, bins, table, missing):
    for k in range(first, stop):
        f = table_row[i, j, k]
        if f >= 0:
            if weight is None:
                missing[f] += 1 - row.weight[k]
                _add(table, (base + f) * bins, row.value[k], row.weight[k])
            else:
                own = float(weight[i, j, k])
                missing[f] += own * (1 - row.weight[k])
                _add(table, (base + f) * bins, row.value[k], own * row.weight[k])


@kernel
def backprojections(first, stop, moving, mask, where, nodes, fixed, weight, table, out):
    """dE/dy summed at the rows of nodes of each tile, from dE/dhistogram.

    Parameters
    ----------
    first, stop, moving, mask, where, nodes, fixed, weight
        As for :func:`joint_histograms`.
    table : (G L + 1, B) array
        dE/dhistogram, L rows for each group of tiles; the last row is 0.
    out : (T, 3, a', b', n) array, output
    """
    tiles, derivative, flat = fixed.tiles, table.ravel(), moving.image.ravel()
    planes, rows, n = fixed.row.shape
    placement, row = allocate_placement(n, nodes), allocate_values(n, nodes)
    for tile in range(first, stop):
        a, across, b, down = tile_nodes(tile, tiles, where, planes)
        clear_nodes(tile, across, down, out)
        base = fixed.group[tile] * fixed.voxels.shape[1]
        for i in range(tiles[tile, 0], tiles[tile, 1]):
            fill_plane(i, b, down, planes + rows, nodes, where, placement)
            for j in range(tiles[tile, 2], tiles[tile, 3]):
                if fixed.occupied[i, j]:
                    part = place_row(i, j, b, planes, moving, mask, where, placement)
                    gradients(part, placement.y, moving, flat, mask, row)
                    _look_up(
                        i, j, part.begin, part.end, fixed.row, base, row, table.shape[1], derivative
                    )
                    for low, high in ((0, part.start), (part.stop, n)):
                        _look_up_weighted(
                            i, j, low, high, fixed.row, base, row, table.shape[1], derivative
                        )
                    if weight is not None:
                        _weigh(i, j, weight, row)
                    forces(part, row)
                    for low, high in ((0, part.start), (part.begin, part.end), (part.stop, n)):
                        add_row(tile, i, j, planes, a, b, low, high, where, row.gradient, out)


@part(forceinline=True)
def _weigh(i, j, weight, row):
    """Multiply the derivatives of a row by the weights of its voxels."""
    for k in range(np.uint64(row.slope.size)):
        row.slope[k] *= weight[i, j, k]
        row.weight_slope[k] *= weight[i, j, k]


@part(forceinline=True)
def _look_up(i, j, begin, end, table_row, base, row, bins, table):
    """dE/dvalue of a row of voxels of weight 1, by the derivative of the B-spline."""
    value, slope, own, last = row.value, row.slope, np.int32(base), np.int32(table.size // bins - 1)
    one, two, width, half = np.uint32(1), np.uint32(2), np.int32(bins), value.dtype.type(0.5)
    for k in range(np.uint64(begin), np.uint64(end)):
        f, m = np.int32(table_row[i, j, k]), value[k]
        centre = np.int32(m + half)
        t = m - value.dtype.type(centre)
        c = np.uint32((own + f if f >= 0 else last) * width + centre - np.int32(1))
        left, mid, right = table[c], table[c + one], table[c + two]
        slope[k] = t * (left - mid + (right - mid)) + half * (right - left)


@part(forceinline=True)
def _look_up_weighted(i, j, first, stop, table_row, base, row, bins, table):
    """dE/dvalue and dE/dweight of voxels whose weight is not 1."""
    for k in range(first, stop):
        row.slope[k] = row.weight_slope[k] = 0
        if table_row[i, j, k] >= 0:
            centre = int(row.value[k] + 0.5)
            t, c = row.value[k] - centre, (base + table_row[i, j, k]) * bins + centre
            left, mid, right = table[c - 1], table[c], table[c + 1]
            below, above = 0.5 - t, 0.5 + t
            row.slope[k] = row.weight[k] * (-below * left - 2 * t * mid + above * right)
            row.weight_slope[k] = (
                0.5 * below * below * left + (0.75 - t * t) * mid + 0.5 * above * above * right
            )
