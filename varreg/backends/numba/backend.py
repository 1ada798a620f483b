"""The Numba backend: the functions that every backend has, on the CPU."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Labels, Moving, Scratch, VoxelMap, Warped, Windows
from ..blocks import block_count, row_tiles
from ..threads import run
from . import averaging, folding, histogram, information, warping, windows
from . import points as points_
from .announcement import announce_compilation
from .cache import cache_folder, drop_stale
from .information import banded
from .nodes import most_nodes, sum_tiles

NAME = "numba"
#: Sums over fewer entries take less time than waking a thread.
LEAST_ENTRIES_FOR_THREADS = 2**18

drop_stale(histogram.joint_histograms)
announce_compilation()


def warp(moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int) -> None:
    """Fill `warped` with value and weight of the moving image at every fixed voxel."""
    tiles = _tiles(warped.value.shape)
    images = warped.value, warped.share, warped.full
    run(warping.warp, len(tiles), threads, moving, _mask(moving), where, nodes, tiles, *images)


def push(
    moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, scratch: Scratch, threads: int
) -> Array:
    """dE/dy at the nodes, (3, a, b, c), from the slopes in `warped`; valid until the next call."""
    tiles = _tiles(warped.value.shape)
    shape = warped.value.shape
    partial = _partial_nodes(shape, tiles, where, scratch, nodes)
    slopes = warped.slope, warped.share_slope
    run(
        warping.push,
        len(tiles),
        threads,
        moving,
        _mask(moving),
        where,
        nodes,
        tiles,
        *slopes,
        partial,
    )
    return _sum_nodes(partial, shape, tiles, where, nodes, scratch, threads)


def joint_histogram(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, scratch: Scratch, threads: int
) -> Array:
    """(R B, B) sum of weights, fixed label x moving bin; valid until the next call."""
    tables = _tile_histograms(moving, where, nodes, labels, scratch, threads)
    by_tile = tables.reshape(len(labels.tiles), labels.height, labels.bins)
    # in the order of the tiles: the same bits for any number of threads
    return np.add.reduceat(by_tile, labels.first_tile[:-1], axis=0).reshape(-1, labels.bins)


def pull_table(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, table: Array, scratch: Scratch,
    threads: int,
) -> Array:  # fmt: skip
    """dE/dy at the nodes, (3, a, b, c), from dE/dhistogram, (R B, B); valid until the next call."""
    derivative = _derivative(labels, scratch, nodes.dtype)
    derivative[:-1] = table
    return _backprojection(moving, where, nodes, labels, derivative, scratch, threads)


def mutual_information(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, kernel: Array, scratch: Scratch,
    threads: int,
) -> tuple[float, float]:  # fmt: skip
    """(weight in view, sum over regions of weight times mutual information in nats)."""
    tables = _tile_histograms(moving, where, nodes, labels, scratch, threads)
    tables, along = tables.reshape(-1, labels.bins, labels.bins), labels.height // labels.bins
    regions = (len(labels.first_tile) - 1) * along
    mass, value = scratch.array("information", (2, regions), np.dtype(np.float64))
    ratio = scratch.array("ratio", (regions, labels.bins, labels.bins), np.dtype(np.float64))
    workers = threads if ratio.size > LEAST_ENTRIES_FOR_THREADS else 1
    found = banded(kernel), mass, value, ratio
    run(information.region_information, regions, workers, tables, along, labels.first_tile, *found)
    return float(mass.sum()), float(value.sum())


def pull_information(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, kernel: Array, scale: float,
    scratch: Scratch, threads: int,
) -> Array:  # fmt: skip
    """`scale` times the derivative of the last :func:`mutual_information` with this scratch, by y at
    the nodes, (3, a, b, c); valid until the next call.
    """
    ratio, derivative = scratch["ratio"], _derivative(labels, scratch, nodes.dtype)
    by_histogram = scratch.array("by_histogram", ratio.shape, ratio.dtype)
    workers = threads if ratio.size > LEAST_ENTRIES_FOR_THREADS else 1
    _smooth(ratio, kernel.T, by_histogram, workers)
    np.multiply(by_histogram.reshape(-1, labels.bins), scale, out=derivative[:-1])
    return _backprojection(moving, where, nodes, labels, derivative, scratch, threads)


def _mask(moving: Moving) -> Array | None:
    """The mask, or None where the kernels may read rows in stretches: each is compiled when it is needed."""
    return moving.mask if moving.cubic or moving.mask.size else None


def _tile_histograms(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, scratch: Scratch, threads: int
) -> Array:
    """(T L, B) joint histograms of all tiles."""
    count = len(labels.tiles)
    room = (count * (labels.height + 1), labels.bins)
    tables = scratch.array("histograms", room, np.dtype(np.float64))
    run(
        histogram.joint_histograms,
        count,
        threads,
        moving,
        _mask(moving),
        where,
        nodes,
        labels,
        tables,
    )
    return tables[: count * labels.height]


def _derivative(labels: Labels, scratch: Scratch, dtype: np.dtype) -> Array:
    """Room for dE/dhistogram, (R B + 1, B); the last row is for voxels that do not count: 0."""
    rows = (len(labels.first_tile) - 1) * labels.height + 1
    derivative = scratch.array("derivative", (rows, labels.bins), dtype)
    derivative[-1] = 0
    return derivative


def _backprojection(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, derivative: Array,
    scratch: Scratch, threads: int,
) -> Array:  # fmt: skip
    """dE/dy at the nodes from dE/dhistogram."""
    shape, tiles = labels.label.shape, labels.tiles
    partial = _partial_nodes(shape, tiles, where, scratch, nodes)
    images = moving, _mask(moving), where, nodes, labels, derivative
    run(histogram.backprojections, len(tiles), threads, *images, partial)
    return _sum_nodes(partial, shape, tiles, where, nodes, scratch, threads)


def _tiles(shape: tuple[int, ...]) -> NDArray[np.int64]:
    count = block_count(int(np.prod(shape)))
    return np.array(row_tiles((0, shape[0]), (0, shape[1]), count), np.int64)


def _partial_nodes(
    shape: tuple[int, ...], tiles: NDArray, where: VoxelMap, scratch: Scratch, like: Array
) -> Array:
    """Room for the rows of nodes that each tile touches, (T, 3, a', b', n)."""
    planes, _, n = shape
    room = (len(tiles), 3, *most_nodes(tiles, where, planes), n)
    return scratch.array("partial", room, like.dtype)


def _sum_nodes(
    partial: Array, shape: tuple[int, ...], tiles: NDArray, where: VoxelMap, nodes: Array,
    scratch: Scratch, threads: int,
) -> Array:  # fmt: skip
    planes, rows, n = shape
    out = scratch.array("nodes", nodes.shape, nodes.dtype)
    rowwise = scratch.array("rowwise", (*nodes.shape[:3], n), nodes.dtype)
    workers = threads if partial.size > LEAST_ENTRIES_FOR_THREADS else 1
    column = planes + rows
    run(sum_tiles, 3, workers, partial, tiles, where, planes, column, rowwise, out)
    return out


def windowed_histogram(
    fixed: Array, warped: Warped, bins: int, shape: Windows, threads: int
) -> Array:
    """(B, B) sum of weights by per-pixel windows, fixed bin x moving bin."""
    blocks = block_count(fixed.size)
    partial = np.empty((blocks, bins, bins))
    images = (fixed, warped.value, warped.share, warped.full)
    run(windows.scatter_windows, blocks, threads, blocks, *images, *shape, partial)
    total = partial[0].copy()
    for table in partial[1:]:  # in block order: the same bits for any number of threads
        total += table
    return total


def windowed_slope(
    fixed: Array, warped: Warped, table: Array, shape: Windows, threads: int
) -> None:
    """Fill the slopes in `warped` from dE/dhistogram, (B, B), of per-pixel windows."""
    blocks = block_count(fixed.size)
    images = (fixed, warped.value, warped.share, warped.full)
    slopes = (table, warped.slope, warped.share_slope)
    run(windows.windows_slope, blocks, threads, blocks, *images, *shape, *slopes)


def smooth_table(table: Array, kernel: Array) -> Array:
    """K table K^T of every region, for the banded matrix K; table (R B, B)."""
    stack = _stacked(table)
    return _smooth(stack, banded(kernel), np.empty_like(stack)).reshape(table.shape)


def smooth_table_transposed(table: Array, kernel: Array) -> Array:
    """K^T table K of every region; table (R B, B)."""
    stack = _stacked(table)
    return _smooth(stack, kernel.T, np.empty_like(stack)).reshape(table.shape)


def _stacked(table: Array) -> Array:
    bins = table.shape[1]
    return np.ascontiguousarray(table).reshape(-1, bins, bins)


def _smooth(stack: Array, band: Array, out: Array, threads: int = 1) -> Array:
    run(information.smooth_tables, len(stack), threads, stack, np.ascontiguousarray(band), out)
    return out


def determinant_bound(field: Array, spacing: Array, threads: int) -> tuple[float, tuple[int, ...]]:
    """Lower bound of det(id + grad u) over every point, and the cell where it is found.

    field (d, *m), spacing (d,) in the same unit.
    """
    cells = tuple(m - 1 for m in field.shape[1:])
    blocks = min(cells[0], block_count(int(np.prod(cells))))
    bound, place = np.empty(blocks), np.zeros((blocks, field.shape[0]), np.int64)
    kernel = folding.plane_bound if field.shape[0] == 2 else folding.volume_bound
    run(kernel, blocks, threads, blocks, field, spacing, bound, place)
    worst = int(np.argmin(bound))
    return float(bound[worst]), tuple(int(p) for p in place[worst])


def average_axis(image: Array, axis: int, start: NDArray, share: Array, threads: int) -> Array:
    """Weighted sums of neighbours along one axis: see :mod:`varreg.backends.numba.averaging`."""
    shape = image.shape
    before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    out = np.empty((before, len(start), after), image.dtype)
    source = np.ascontiguousarray(image).reshape(before, shape[axis], after)
    blocks = min(before, block_count(image.size))
    workers = threads if image.size > LEAST_ENTRIES_FOR_THREADS else 1
    run(averaging.average_axis, blocks, workers, blocks, source, start, share, out)
    return out.reshape(*shape[:axis], len(start), *shape[axis + 1 :])


def read_linear(image: Array, points: Array, fill: float, out: Array) -> None:
    """out[k] = the image at points[:, k], or `fill` outside its field of view."""
    points_.read_linear(image, points, np.float32(fill), out)


def is_compiled() -> bool:
    """Whether the kernels of mutual information are compiled, in this process or in the cache on disk."""
    kernel = histogram.backprojections
    if kernel.signatures:
        return True
    folder = cache_folder(kernel)
    return folder is not None and any(folder.glob("histogram.backprojections-*.nbi"))
