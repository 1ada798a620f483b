"""Numba backend: the functions of every backend, compiled for the CPU."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Moving, VoxelMap, Warped, Windows, Workspace
from ..blocks import block_count, row_tiles
from ..cpu import later, resident
from ..threads import run
from . import averaging, folding, warping, windows
from .announcement import announce_compilation
from .cache import drop_stale, is_kept
from .evaluation import backproject_table, information_gradient, joint_histogram, mutual_information
from .histogram import backprojections
from .information import information, smooth_table, smooth_table_transposed
from .nodes import LEAST_ENTRIES_FOR_THREADS, sums_at_nodes
from .points import read_points
from .row_values import mask_or_none
from .volume import area_gradients, area_sum, volume_gradients, volume_sum

__all__ = [
    "average_axis", "backproject", "backproject_table", "determinant_bound", "information", "information_gradient",
    "joint_histogram", "later", "mutual_information", "read_linear", "resident", "smooth_table", "smooth_table_transposed",
    "volume", "volume_gradient", "warp",
    "windowed_histogram", "windowed_slope",
]  # fmt: skip
NAME = "numba"

drop_stale(backprojections)
announce_compilation()


def warp(moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int) -> None:
    """Warp the moving image: write value and weight at every fixed voxel to `warped`."""
    tiles = _tiles(warped.value.shape)
    images = moving, mask_or_none(moving), where, nodes
    out = warped.value, warped.weight, warped.full
    run(warping.warp, len(tiles), threads, *images, tiles, *out)


def backproject(
    moving: Moving,
    where: VoxelMap,
    nodes: Array,
    warped: Warped,
    workspace: Workspace,
    threads: int,
) -> Array:
    """dE/dy at the nodes, (3, a, b, c), from the slopes in `warped`; valid until the next call."""
    images = moving, mask_or_none(moving), where, nodes
    shape, tiles = warped.value.shape, _tiles(warped.value.shape)
    more = tiles, warped.slope, warped.weight_slope
    return sums_at_nodes(warping.backproject, images, more, shape, tiles, workspace, threads)


def _tiles(shape: tuple[int, ...]) -> NDArray[np.int64]:
    count = block_count(math.prod(shape))
    return np.array(row_tiles((0, shape[0]), (0, shape[1]), count), np.int64)


def windowed_histogram(
    fixed: Array, warped: Warped, bins: int, shape: Windows, threads: int
) -> Array:
    """Joint histogram (B, B) by per-pixel windows, fixed bin x moving bin."""
    blocks = block_count(fixed.size)
    partial = np.empty((blocks, bins, bins))
    images = (fixed, warped.value, warped.weight, warped.full)
    run(windows.scatter_windows, blocks, threads, blocks, *images, *shape, partial)
    total = partial[0].copy()
    for table in partial[1:]:  # in block order, for bitwise independence of the number of threads
        total += table
    return total


def windowed_slope(
    fixed: Array, warped: Warped, table: Array, shape: Windows, threads: int
) -> None:
    """Compute the slopes in `warped` from dE/dhistogram, (B, B), by per-pixel windows."""
    blocks = block_count(fixed.size)
    images = (fixed, warped.value, warped.weight, warped.full)
    slopes = (table, warped.slope, warped.weight_slope)
    run(windows.windows_slope, blocks, threads, blocks, *images, *shape, *slopes)


def determinant_bound(field: Array, spacing: Array, threads: int) -> tuple[float, tuple[int, ...]]:
    """Lower bound of det(id + grad u) over all cells, and the cell that attains it.

    Field (d, *m) and spacing (d,) in the same unit.
    """
    cells = tuple(m - 1 for m in field.shape[1:])
    blocks = min(cells[0], block_count(math.prod(cells)))
    bound, place = np.empty(blocks), np.zeros((blocks, field.shape[0]), np.int64)
    kernel = folding.plane_bound if field.shape[0] == 2 else folding.volume_bound
    run(kernel, blocks, threads, blocks, field, spacing, bound, place)
    worst = int(np.argmin(bound))
    return float(bound[worst]), tuple(int(p) for p in place[worst])


def volume(field: Array, spacing: Array, threads: int) -> float:
    """Volume term of a field (d, *m); spacing (d,) in the same unit."""
    cuts, corners = _cell_blocks(field)
    blocks = len(cuts) - 1
    total = np.empty(blocks)
    kernel = area_sum if field.shape[0] == 2 else volume_sum
    run(kernel, blocks, threads, blocks, field, spacing, total)
    return float(total.sum()) / corners


def volume_gradient(field: Array, spacing: Array, threads: int) -> Array:
    """Derivative of :func:`volume` with respect to the field, (d, *m)."""
    cuts, corners = _cell_blocks(field)
    blocks = len(cuts) - 1
    out, last = np.empty(field.shape), np.empty((blocks, len(field), 2, *field.shape[2:]))
    out[:, -1] = 0
    kernel = area_gradients if field.shape[0] == 2 else volume_gradients
    run(kernel, blocks, threads, blocks, field, spacing, 1 / corners, out, last)
    for number, planes in enumerate(
        last
    ):  # in block order, for bitwise independence of the number of threads
        end = cuts[number + 1]
        out[:, end - 1 : end + 1] += planes
    return out


def _cell_blocks(field: Array) -> tuple[NDArray[np.int64], int]:
    """Boundaries of the blocks of planes of cells, (blocks + 1,), and the number of corners of all cells."""
    cells = tuple(m - 1 for m in field.shape[1:])
    blocks = min(cells[0], block_count(math.prod(cells)))
    cuts = np.arange(blocks + 1) * cells[0] // blocks
    return cuts, 2 ** len(cells) * math.prod(cells)


def average_axis(image: Array, axis: int, start: NDArray, weights: Array, threads: int) -> Array:
    """Weighted sums of neighbours along one axis: see :mod:`varreg.backends.numba.averaging`."""
    shape = image.shape
    before, after = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    out = np.empty((before, len(start), after), image.dtype)
    source = np.ascontiguousarray(image).reshape(before, shape[axis], after)
    blocks = min(before, block_count(image.size))
    workers = threads if image.size > LEAST_ENTRIES_FOR_THREADS else 1
    run(averaging.average_axis, blocks, workers, blocks, source, start, weights, out)
    return out.reshape(*shape[:axis], len(start), *shape[axis + 1 :])


def read_linear(image: Array, points: Array, fill: float, out: Array) -> None:
    """Linear interpolation: out[k] = image at points[:, k], or `fill` outside the field of view."""
    read_points(image, points, np.float32(fill), out)


def is_compiled() -> bool:
    """Whether compiled kernels of mutual information exist, in this process or in the cache on disk."""
    return bool(backprojections.signatures) or is_kept(backprojections)
