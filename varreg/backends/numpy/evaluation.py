"""Joint histograms under a map, their mutual information, and the backprojection of derivatives to the nodes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, HistogramRows, Moving, VoxelMap, Warped, Workspace
from .information import information, smooth_table_transposed
from .rows import rows
from .sampling import quadratic
from .warping import backproject, warp


def joint_histogram(
    moving: Moving,
    where: VoxelMap,
    nodes: Array,
    fixed: HistogramRows,
    workspace: Workspace,
    threads: int,
) -> Array:
    """Joint histogram (R B, B), fixed row x moving bin."""
    warped = _warped(moving, where, nodes, fixed, threads)
    table = np.zeros(((int(fixed.group[-1]) + 1) * fixed.height, fixed.bins))
    for live, row, value, weight in rows(fixed.row, warped):
        weights, _ = _spline_weights(value, fixed.bins)
        weight = weight * _own_weight(fixed, row, live)
        np.add.at(table, _table_row(fixed, row, live), weight[:, None] * weights)
    return table


def backproject_table(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, table: Array, workspace: Workspace,
    threads: int,
) -> Array:  # fmt: skip
    """dE/dy at the nodes, (3, a, b, c), from dE/dhistogram, (R B, B)."""
    warped = _warped(moving, where, nodes, fixed, threads)
    for live, row, value, weight in rows(fixed.row, warped):
        along = table[_table_row(fixed, row, live)]  # dE/dweight of each moving bin
        weights, change = _spline_weights(value, fixed.bins)
        own = _own_weight(fixed, row, live)
        warped.slope[row][live] = own * weight * (change * along).sum(1)
        warped.weight_slope[row][live] = own * (weights * along).sum(1)
    return backproject(moving, where, nodes, warped, workspace, threads)


def mutual_information(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, kernel: Array, workspace: Workspace,
    threads: int,
) -> tuple[float, float]:  # fmt: skip
    """(weight in view, sum over regions of weight times mutual information in nats)."""
    histogram = joint_histogram(moving, where, nodes, fixed, workspace, threads)
    value, ratio = information(histogram, kernel)
    workspace["slope"] = smooth_table_transposed(ratio, kernel)
    return float(histogram.sum()), value


def information_gradient(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, kernel: Array, scale: float,
    workspace: Workspace, threads: int,
) -> Array:  # fmt: skip
    """`scale` times the derivative of the last :func:`mutual_information` with this workspace."""
    table = scale * workspace["slope"]
    return backproject_table(moving, where, nodes, fixed, table, workspace, threads)


def _warped(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, threads: int
) -> Warped:
    warped = Warped.empty(fixed.row.shape, nodes.dtype)
    warp(moving, where, nodes, warped, threads)
    return warped


def _own_weight(fixed: HistogramRows, row: tuple[int, ...], live: NDArray) -> Array:
    """Fixed weights of the voxels of a row inside the mask."""
    return fixed.weight[row][live] if fixed.weight.size else np.ones(int(live.sum()))


def _table_row(fixed: HistogramRows, row: tuple[int, ...], live: NDArray) -> NDArray:
    """Row of the stacked tables for each voxel of a row inside the mask."""
    i, j = row
    i0, i1, j0, j1 = fixed.tiles.T
    tile = np.flatnonzero((i0 <= i) & (i < i1) & (j0 <= j) & (j < j1))
    return fixed.group[tile] * fixed.height + fixed.row[row][live]


def _spline_weights(value: Array, bins: int) -> tuple[Array, Array]:
    """Weights of the bins, (voxels, B), and their derivatives with respect to the value."""
    t = value[:, None] - np.arange(bins)
    hat = np.maximum(1 - np.abs(t + 0.5), 0) - np.maximum(1 - np.abs(t - 0.5), 0)
    return quadratic(t), hat
