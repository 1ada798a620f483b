"""The Numba backend: the functions that every backend has, on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from . import averaging, folding, histogram, warping
from .arrays import Array, Moving, VoxelMap, Warped, Windows
from .blocks import block_count, run

NAME = "numba"
#: Histogram entries that are smoothed by one thread at a time.
ENTRIES_PER_BLOCK = 2**16
#: Entries of all partial histograms together: 64 MiB.
MOST_PARTIAL_ENTRIES = 2**23


def is_compiled() -> bool:
    """Whether the kernels are compiled already, in this process or in the cache on disk."""
    if warping.push.signatures:
        return True
    folder = getattr(getattr(warping.push, "_cache", None), "cache_path", None)
    return folder is not None and any(Path(folder).glob("warping.push-*.nbi"))


def warp(moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int) -> None:
    """Fill `warped` with value and weight of the moving image at every fixed voxel."""
    blocks = block_count(warped.value.size)
    run(
        warping.warp, blocks, threads,
        moving.image, moving.mask, nodes, *where, moving.limit, moving.box, moving.cubic, moving.low,
        moving.high, warped.value, warped.share, warped.full,
    )  # fmt: skip


def push(moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int) -> Array:
    """dE/dy at the nodes, (3, a, b, c), from the slopes in `warped`; valid until the next call."""
    planes, rows, _ = warped.value.shape
    _, a, b, c = nodes.shape
    blocks = block_count(warped.value.size)
    rowwise = warped.scratch("rowwise", (3, planes, rows, c), nodes.dtype)
    run(
        warping.push, blocks, threads,
        moving.image, moving.mask, nodes, *where, moving.limit, moving.box, moving.cubic, moving.low,
        moving.high, warped.value, warped.slope, warped.share_slope, warped.full, rowwise,
    )  # fmt: skip
    planewise = warped.scratch("planewise", (3, planes, b, c), nodes.dtype)
    count = min(planes, blocks)
    run(warping.gather_rows, count, threads, rowwise, where.index, where.weight, planes, planewise)
    if planes == 1:
        return planewise
    out = warped.scratch("nodewise", (3, a, b, c), nodes.dtype)
    run(warping.gather_planes, min(b, blocks), threads, planewise, where.index, where.weight, out)
    return out


def joint_histogram(
    fixed: NDArray, warped: Warped, bins: int, windows: Windows | None, threads: int,
    regions: int = 1,
) -> Array:  # fmt: skip
    """(R B, B) sum of weights: fixed label x moving bin."""
    most = max(1, MOST_PARTIAL_ENTRIES // (regions * bins * bins))
    blocks = min(block_count(fixed.size), most)
    partial = warped.scratch("partial", (blocks, regions * bins, bins), np.float64)
    images = (fixed, warped.value, warped.share, warped.full)
    if windows is None:
        run(histogram.scatter, blocks, threads, *images, partial)
    else:
        run(histogram.scatter_windows, blocks, threads, *images, *windows, partial)
    total = partial[0].copy()
    for table in partial[1:]:  # in block order: the same bits for any number of threads
        total += table
    return total


def histogram_slope(
    fixed: NDArray, warped: Warped, table: Array, windows: Windows | None, threads: int
) -> None:
    """Fill the slopes in `warped` from the derivative `table`, (B, B), for the histogram."""
    blocks = block_count(fixed.size)
    images = (fixed, warped.value, warped.share, warped.full)
    rest = (table, warped.slope, warped.share_slope)
    if windows is None:
        run(histogram.scatter_slope, blocks, threads, *images, *rest)
    else:
        run(histogram.windows_slope, blocks, threads, *images, *windows, *rest)


def smooth_table(table: Array, kernel: Array, threads: int = 1) -> Array:
    """K table K^T of every region, for the banded matrix K; table (R B, B)."""
    reach = kernel.shape[1] // 2
    band = np.zeros(kernel.shape[::-1])
    for k, column in enumerate(kernel.T):  # band[k, b] = K[b, b + k - reach]
        low, high = max(0, k - reach), min(len(kernel), len(kernel) + k - reach)
        if low < high:  # else a kernel wider than the table
            band[2 * reach - k, low:high] = column[low - k + reach : high - k + reach]
    return _smooth(table, band, threads)


def smooth_table_transposed(table: Array, kernel: Array, threads: int = 1) -> Array:
    """K^T table K of every region; table (R B, B)."""
    return _smooth(table, np.ascontiguousarray(kernel.T), threads)


def _smooth(table: Array, band: Array, threads: int) -> Array:
    bins = table.shape[1]
    tables = np.ascontiguousarray(table).reshape(-1, bins, bins)
    out = np.empty_like(tables)
    blocks = max(1, min(len(tables), tables.size // ENTRIES_PER_BLOCK))
    run(histogram.smooth_tables, blocks, threads, tables, band, out)
    return out.reshape(table.shape)


def determinant_bound(field: Array, spacing: Array, threads: int) -> tuple[float, tuple[int, ...]]:
    """Lower bound of det(id + grad u) over every point, and the cell where it is found.

    field (d, *m), spacing (d,) in the same unit.
    """
    cells = tuple(m - 1 for m in field.shape[1:])
    blocks = min(cells[0], block_count(int(np.prod(cells))))
    bound, place = np.empty(blocks), np.zeros((blocks, field.shape[0]), np.int64)
    kernel = folding.plane_bound if field.shape[0] == 2 else folding.volume_bound
    run(kernel, blocks, threads, field, spacing, bound, place)
    worst = int(np.argmin(bound))
    return float(bound[worst]), tuple(int(p) for p in place[worst])


def average_axis(image: Array, axis: int, start: NDArray, share: Array, threads: int) -> Array:
    """Weighted sums of neighbours along one axis: see :mod:`varreg.kernels.averaging`."""
    shape = image.shape
    before, after = int(np.prod(shape[:axis])), int(np.prod(shape[axis + 1 :]))
    out = np.empty((before, len(start), after), image.dtype)
    source = np.ascontiguousarray(image).reshape(before, shape[axis], after)
    blocks = min(before, block_count(image.size))
    run(averaging.average_axis, blocks, threads, source, start, share, out)
    return out.reshape(*shape[:axis], len(start), *shape[axis + 1 :])
