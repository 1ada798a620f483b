"""The NumPy backend: the same functions as :mod:`varreg.backends.numba.backend`, written to be read.

Every formula is written down once more, from docs/theory.md and in another way than in the Numba
kernels, so that two derivations check each other.  Slow; `threads` is accepted and ignored.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, HistogramRows, Moving, VoxelMap, Warped, Windows, Workspace
from ..later import at_once
from ..logarithm import logarithm
from . import volume as volumes
from .folding import cell_bounds
from .sampling import (
    average_axis,
    bend,
    excess,
    fade,
    fade_slope,
    interpolation,
    nearest_inside,
    positions,
    quadratic,
    read_linear,
    sample,
)  # fmt: skip

__all__ = [
    "average_axis", "backproject", "backproject_table", "determinant_bound", "information_gradient",
    "joint_histogram", "later", "mutual_information", "read_linear", "resident", "smooth_table", "smooth_table_transposed",
    "volume", "volume_gradient", "warp",
    "windowed_histogram", "windowed_slope",
]  # fmt: skip
NAME = "numpy"
later = at_once
Row = tuple[NDArray, tuple[int, ...], Array, Array]


def resident(arrays: Any) -> Any:
    """The arrays themselves."""
    return arrays


def warp(moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int) -> None:
    """Fill `warped` with value and weight of the moving image at every fixed voxel."""
    position = positions(where, nodes, warped.value.shape)
    inside = nearest_inside(position, moving.image.shape)
    value, _ = sample(moving.image, inside, moving.cubic)
    weight = np.prod(fade(np.abs(excess(position, inside))), axis=0)
    if moving.mask.size:
        weight = weight * sample(moving.mask, inside, False)[0]
    warped.value[...] = bend(value, moving)[0] if moving.cubic else value
    warped.weight[...] = weight
    in_view = (position == inside).all(axis=(0, -1)).reshape(-1)
    warped.full[...] = in_view & (moving.mask.size == 0 and not moving.cubic)


def backproject(
    moving: Moving,
    where: VoxelMap,
    nodes: Array,
    warped: Warped,
    workspace: Workspace,
    threads: int,
) -> Array:
    """dE/dy at the nodes, (3, a, b, c), from the slopes in `warped`."""
    position = positions(where, nodes, warped.value.shape)
    inside = nearest_inside(position, moving.image.shape)
    free = position == inside  # along these axes the value follows the position
    value, change = sample(moving.image, inside, moving.cubic)
    live = warped.slope
    if moving.cubic:
        live = live * bend(value, moving)[1]
    force = live * change * free

    full = warped.full.reshape(*warped.value.shape[:2], 1).astype(bool)
    weight_slope = np.where(full, 0, warped.weight_slope)
    outside = excess(position, inside)
    near = fade(np.abs(outside))
    near_change = fade_slope(np.abs(outside)) * np.sign(outside)
    marked, marked_change = np.ones_like(value), np.zeros_like(change)
    if moving.mask.size:
        marked, marked_change = sample(moving.mask, inside, False)
    for axis in range(3):
        others = near[(axis + 1) % 3] * near[(axis + 2) % 3]
        force[axis] += weight_slope * marked * near_change[axis] * others
    force += weight_slope * np.prod(near, axis=0) * marked_change * free
    force *= (near > 0).all(axis=0)  # nothing from beyond the view
    planes, rows, columns = interpolation(where, nodes, warped.value.shape)
    return np.einsum("dijk,ia,jb,kc->dabc", force, planes, rows, columns, optimize=True)


def joint_histogram(
    moving: Moving,
    where: VoxelMap,
    nodes: Array,
    fixed: HistogramRows,
    workspace: Workspace,
    threads: int,
) -> Array:
    """(R B, B) sum of weights: fixed row x moving bin."""
    warped = _warped(moving, where, nodes, fixed, threads)
    table = np.zeros(((int(fixed.group[-1]) + 1) * fixed.height, fixed.bins))
    for live, row, value, weight in _rows(fixed.row, warped):
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
    for live, row, value, weight in _rows(fixed.row, warped):
        along = table[_table_row(fixed, row, live)]  # how E answers to weight in each moving bin
        weights, change = _spline_weights(value, fixed.bins)
        own = _own_weight(fixed, row, live)
        warped.slope[row][live] = own * weight * (change * along).sum(1)
        warped.weight_slope[row][live] = own * (weights * along).sum(1)
    return backproject(moving, where, nodes, warped, workspace, threads)


def _warped(
    moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, threads: int
) -> Warped:
    warped = Warped.empty(fixed.row.shape, nodes.dtype)
    warp(moving, where, nodes, warped, threads)
    return warped


def _own_weight(fixed: HistogramRows, row: tuple[int, ...], live: NDArray) -> Array:
    """Weight by which each voxel of a row counts, of those that do."""
    return fixed.weight[row][live] if fixed.weight.size else np.ones(int(live.sum()))


def _table_row(fixed: HistogramRows, row: tuple[int, ...], live: NDArray) -> NDArray:
    """Row of the stack of all tables, for the voxels of a row inside the mask."""
    i, j = row
    i0, i1, j0, j1 = fixed.tiles.T
    tile = np.flatnonzero((i0 <= i) & (i < i1) & (j0 <= j) & (j < j1))
    return fixed.group[tile] * fixed.height + fixed.row[row][live]


def windowed_histogram(
    fixed: Array, warped: Warped, bins: int, shape: Windows, threads: int
) -> Array:
    """(B, B) sum of weights by per-pixel windows: fixed bin x moving bin."""
    table = np.zeros((bins, bins))
    for live, row, value, weight in _rows(fixed, warped):
        here, there = (_windows(x.astype(float), bins, shape)[0] for x in (fixed[row][live], value))
        table += here.T @ (weight[:, None] * there)
    return table


def windowed_slope(
    fixed: Array, warped: Warped, table: Array, shape: Windows, threads: int
) -> None:
    """Fill the slopes in `warped` from dE/dhistogram, (B, B), of per-pixel windows."""
    warped.slope[...] = 0
    warped.weight_slope[...] = 0
    bins = table.shape[1]
    for live, row, value, weight in _rows(fixed, warped):
        along = _windows(fixed[row][live].astype(float), bins, shape)[0] @ table
        weights, change = _windows(value, bins, shape)
        warped.slope[row][live] = weight * (change * along).sum(1)
        warped.weight_slope[row][live] = (weights * along).sum(1)


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


def information(table: Array, kernel: Array) -> tuple[float, Array]:
    """(sum over regions of N MI in nats, its derivative by the smoothed table), from (R B, B).

    Empty cells and empty regions contribute nothing.
    """
    weight = smooth_table(table, kernel).reshape(-1, table.shape[1], table.shape[1])
    mass, fixed, moving = weight.sum((1, 2)), weight.sum(2), weight.sum(1)
    ratio = logarithm(weight) + logarithm(mass)[:, None, None] - logarithm(fixed)[:, :, None]
    ratio = (ratio - logarithm(moving)[:, None, :]) * (weight > 0)
    return float((weight * ratio).sum()), ratio.reshape(table.shape)


def smooth_table(table: Array, kernel: Array) -> Array:
    """K table K^T of every region, for the banded matrix K; table (R B, B)."""
    matrix = _banded(kernel)
    tables = table.reshape(-1, len(matrix), len(matrix))
    return (matrix @ tables @ matrix.T).reshape(table.shape)


def smooth_table_transposed(table: Array, kernel: Array) -> Array:
    """K^T table K of every region; table (R B, B)."""
    matrix = _banded(kernel)
    tables = table.reshape(-1, len(matrix), len(matrix))
    return (matrix.T @ tables @ matrix).reshape(table.shape)


def determinant_bound(field: Array, spacing: Array, threads: int) -> tuple[float, tuple[int, ...]]:
    """Lower bound of det(id + grad u) over every point, and the cell where it is found.

    field (d, *m), spacing (d,) in the same unit.
    """
    bound = cell_bounds(field, spacing)
    cell = np.unravel_index(int(np.argmin(bound)), bound.shape)
    return float(bound[cell]), tuple(int(i) for i in cell)


def volume(field: Array, spacing: Array, threads: int) -> float:
    """The volume term of a field (d, *m); spacing (d,) in the same unit."""
    return volumes.volume(field, spacing)


def volume_gradient(field: Array, spacing: Array, threads: int) -> Array:
    """Its derivative by the field, (d, *m)."""
    return volumes.volume_gradient(field, spacing)


def _spline_weights(value: Array, bins: int) -> tuple[Array, Array]:
    """(voxels, B) weight of each bin, and its derivative by the value."""
    t = value[:, None] - np.arange(bins)
    hat = np.maximum(1 - np.abs(t + 0.5), 0) - np.maximum(1 - np.abs(t - 0.5), 0)
    return quadratic(t), hat


def _windows(value: Array, bins: int, windows: Windows) -> tuple[Array, Array]:
    """(voxels, B) Gaussian windows normalised at each voxel, and their derivative by the value."""
    bin_ = np.arange(bins)
    t = value[:, None] - bin_
    near = np.abs(bin_ - np.floor(value + 0.5)[:, None]) <= windows.reach
    weight = np.exp(-windows.precision * t**2) * near
    weight /= weight.sum(1, keepdims=True)
    logarithmic = -2 * windows.precision * t
    return weight, weight * (logarithmic - (weight * logarithmic).sum(1, keepdims=True))


def _rows(fixed: NDArray, warped: Warped) -> Iterator[Row]:
    """The voxels inside the mask, row by row: (which, row, moving value, weight)."""
    for number, row in enumerate(np.ndindex(*fixed.shape[:2])):
        live = fixed[row] >= 0
        weight = np.ones(int(live.sum())) if warped.full[number] else warped.weight[row][live]
        yield live, row, warped.value[row][live].astype(float), weight.astype(float)


def _banded(kernel: Array) -> Array:
    """K[b, c] = kernel[c, b - c + reach], (B, B)."""
    bins, reach = len(kernel), kernel.shape[1] // 2
    matrix = np.zeros((bins, bins))
    for c, offset in itertools.product(range(bins), range(-reach, reach + 1)):
        if 0 <= c + offset < bins:
            matrix[c + offset, c] = kernel[c, offset + reach]
    return matrix
