"""Preparation of the fixed image for joint histograms: rows of the tables, tiles, and the mask."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import HistogramRows
from ..backends.blocks import block_count, row_tiles
from ..geometry.grid import Grid
from .regions import region_cuts

#: Number of tiles for parallel processing, if there are enough voxels.
TILES = 16
#: Rows (i, j) with (i + SKEW j) divisible by the stride are kept, which distributes them evenly; in a
#: single plane those with j divisible by the stride.
SKEW = {1: 0, 2: 1, 4: 2}


def histogram_rows(
    values: NDArray[Any],
    size: int,
    counts: tuple[int, ...],
    mask: NDArray[Any] | None,
    stride: int = 1,
    span: tuple[float, float] = (0.0, 1.0),
) -> HistogramRows:
    """Assign every fixed voxel to a row of a joint histogram.

    Parameters
    ----------
    values : (planes, rows, n) array
        The fixed image.
    size : int
        B, bins per image.
    counts : (3,) tuple of int
        Number of regions along each axis, each with a separate joint histogram.
    mask : (planes, rows, n) bool or float array or None
        Mask of the voxels, or their weights in [0, 1].
    stride : {1, 2, 4}
        Subsampling of the rows.
    span : (float, float)
        Bins of the values 0 and 1; by default the values are bins.

    Returns
    -------
    HistogramRows
    """
    height = counts[2] * size
    cuts = [region_cuts(n, count) for n, count in zip(values.shape, counts, strict=True)]
    kept = _kept_rows(values.shape, stride)
    row = np.full(values.shape, -1, np.int16 if height <= np.iinfo(np.int16).max else np.int32)
    found = np.floor(values[kept] * (span[1] - span[0]) + (span[0] + 0.5)).astype(row.dtype)
    found += (np.repeat(np.arange(counts[2]), np.diff(cuts[2])) * size).astype(row.dtype)
    weight = np.zeros((0, 0, 0), np.float32)
    if mask is not None:
        found[~(mask[kept] > 0)] = -1
        if mask.dtype.kind == "f":
            weight = np.ascontiguousarray(mask, np.float32)
    row[kept] = found
    occupied = np.zeros(values.shape[:2], np.uint8)
    occupied[kept] = found.max(axis=1) >= 0
    tiles, group = _tiles(values.shape, cuts)
    count = np.array([_voxels(row, weight, occupied, tile, height) for tile in tiles], float)
    first_tile = np.searchsorted(group, np.arange(group[-1] + 2))
    return HistogramRows(occupied, tiles, group, first_tile, count, weight, row, height, size)


def _kept_rows(shape: tuple[int, ...], stride: int) -> tuple[NDArray[np.intp], ...]:
    """Indices (i, j) of the rows kept by the subsampling."""
    i, j = np.ogrid[: shape[0], : shape[1]]
    skew = SKEW[stride] if shape[0] > 1 else 1
    return np.nonzero((i + skew * j) % stride == 0)


def _voxels(
    row: NDArray[Any], weight: NDArray[Any], occupied: NDArray[np.uint8], tile: NDArray[np.int64],
    height: int,
) -> NDArray[Any]:  # fmt: skip
    """Number of voxels of a tile in each row of the table, or the sum of their weights."""
    box = slice(tile[0], tile[1]), slice(tile[2], tile[3])
    live = occupied[box] > 0
    weights = weight[box][live].ravel() if weight.size else None
    return np.bincount(row[box][live].ravel() + 1, weights, minlength=height + 1)[1:]


def _tiles(
    shape: tuple[int, ...], cuts: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tiles that do not cross the borders of regions, and the group of regions of each tile."""
    tiles, group = [], []
    boxes = list(itertools.product(*(zip(c[:-1], c[1:], strict=True) for c in cuts[:2])))
    wanted = max(TILES, block_count(math.prod(shape))) if len(boxes) < TILES else len(boxes)
    for number, (planes, rows) in enumerate(boxes):
        voxels = (planes[1] - planes[0]) * (rows[1] - rows[0]) * shape[2]
        count = min(block_count(voxels), max(wanted // len(boxes), 1))
        parts = row_tiles(planes, rows, count)
        tiles += parts
        group += [number] * len(parts)
    return np.array(tiles, np.int64), np.array(group, np.int64)


def row_stride(grid: Grid, nodes: tuple[int, ...], wanted: float | None, share: float = 1.0) -> int:
    """Largest stride that keeps at least `wanted` voxels per node of the displacement grid.

    `share` is the fraction of voxels inside the mask, so that small masks are not subsampled.
    """
    if wanted is None:
        return 1
    available = share * math.prod(grid.shape) / math.prod(nodes)
    return max(s for s in SKEW if s == 1 or available >= s * wanted)
