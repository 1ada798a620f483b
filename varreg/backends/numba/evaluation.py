"""Mutual information of every region, and its derivative with respect to the map.

The steps are: joint histograms of the tiles, in parallel; mutual information of the regions; its derivative with
respect to the histograms; backprojection to the nodes of each tile, in parallel; and the sum over the tiles in
fixed order.
"""

from __future__ import annotations

import numpy as np

from ..arrays import Array, HistogramRows, Moving, VoxelMap, Workspace
from ..threads import run
from .histogram import backprojections, joint_histograms
from .information import banded, region_information, smooth_tables
from .nodes import LEAST_ENTRIES_FOR_THREADS, sums_at_nodes
from .row_values import mask_or_none

FLOAT64 = np.dtype(np.float64)


def joint_histogram(
    moving: Moving,
    where: VoxelMap,
    nodes: Array,
    fixed: HistogramRows,
    workspace: Workspace,
    threads: int,
) -> Array:
    """Joint histogram (R B, B), fixed row x moving bin; valid until the next call."""
    tables = _tile_histograms(moving, where, nodes, fixed, workspace, threads)
    by_tile = tables.reshape(len(fixed.tiles), fixed.height, fixed.bins)
    # in the order of the tiles, for bitwise independence of the number of threads
    return np.add.reduceat(by_tile, fixed.first_tile[:-1], axis=0).reshape(-1, fixed.bins)


def backproject_table(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, table: Array, workspace: Workspace,
    threads: int,
) -> Array:  # fmt: skip
    """dE/dy at the nodes, (3, a, b, c), from dE/dhistogram, (R B, B); valid until the next call."""
    derivative = _derivative(fixed, workspace, nodes.dtype)
    derivative[:-1] = table
    return _backprojection(moving, where, nodes, fixed, derivative, workspace, threads)


def mutual_information(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, kernel: Array, workspace: Workspace,
    threads: int,
) -> tuple[float, float]:  # fmt: skip
    """(weight in view, sum over regions of weight times mutual information in nats)."""
    tables = _tile_histograms(moving, where, nodes, fixed, workspace, threads)
    tables, along = tables.reshape(-1, fixed.bins, fixed.bins), fixed.height // fixed.bins
    regions = (len(fixed.first_tile) - 1) * along
    mass, value = workspace.array("information", (2, regions), FLOAT64)
    ratio = workspace.array("ratio", (regions, fixed.bins, fixed.bins), FLOAT64)
    workers = threads if ratio.size > LEAST_ENTRIES_FOR_THREADS else 1
    found = banded(kernel), mass, value, ratio
    run(region_information, regions, workers, tables, along, fixed.first_tile, *found)
    return float(mass.sum()), float(value.sum())


def information_gradient(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, kernel: Array, scale: float,
    workspace: Workspace, threads: int,
) -> Array:  # fmt: skip
    """`scale` times the derivative of the last :func:`mutual_information` with this workspace, with respect
    to y at the nodes, (3, a, b, c); valid until the next call.
    """
    ratio, derivative = workspace["ratio"], _derivative(fixed, workspace, nodes.dtype)
    smoothed = workspace.array("smoothed", ratio.shape, ratio.dtype)
    workers = threads if ratio.size > LEAST_ENTRIES_FOR_THREADS else 1
    run(smooth_tables, len(ratio), workers, ratio, np.ascontiguousarray(kernel.T), smoothed)
    np.multiply(smoothed.reshape(-1, fixed.bins), scale, out=derivative[:-1])
    return _backprojection(moving, where, nodes, fixed, derivative, workspace, threads)


def _tile_histograms(
    moving: Moving,
    where: VoxelMap,
    nodes: Array,
    fixed: HistogramRows,
    workspace: Workspace,
    threads: int,
) -> Array:
    """Joint histograms of all tiles, (T L, B)."""
    count = len(fixed.tiles)
    room = (count * (fixed.height + 1), fixed.bins)
    tables = workspace.array("histograms", room, FLOAT64)
    images = moving, mask_or_none(moving), where, nodes, fixed, weight_or_none(fixed)
    run(joint_histograms, count, threads, *images, tables)
    return tables[: count * fixed.height]


def _derivative(fixed: HistogramRows, workspace: Workspace, dtype: np.dtype) -> Array:
    """Workspace for dE/dhistogram, (R B + 1, B); the last row, for voxels outside the mask, is 0."""
    rows = (len(fixed.first_tile) - 1) * fixed.height + 1
    derivative = workspace.array("derivative", (rows, fixed.bins), dtype)
    derivative[-1] = 0
    return derivative


def _backprojection(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, derivative: Array,
    workspace: Workspace, threads: int,
) -> Array:  # fmt: skip
    """dE/dy at the nodes, (3, a, b, c), from dE/dhistogram."""
    images = moving, mask_or_none(moving), where, nodes
    shape, tiles, more = fixed.row.shape, fixed.tiles, (fixed, weight_or_none(fixed), derivative)
    return sums_at_nodes(backprojections, images, more, shape, tiles, workspace, threads)


def weight_or_none(fixed: HistogramRows) -> Array | None:
    """Weights of the fixed voxels; None if all are 1, so that a kernel without weights is compiled."""
    return fixed.weight if fixed.weight.size else None
