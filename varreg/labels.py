"""The fixed image as the joint histogram sees it: tables, tiles of rows, and which voxels count."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .grid import Grid
from .kernels.arrays import Labels
from .kernels.blocks import block_count, row_tiles
from .regions import region_cuts

#: Tiles over which the threads share the work, if there are voxels enough.
TILES = 16
#: Rows (i, j) with (i + SKEW j) divisible by the stride are kept, which spreads them evenly; of a
#: single plane those with j divisible by it.
SKEW = {1: 0, 2: 1, 4: 2}


def label_image(
    bins: NDArray,
    size: int,
    counts: tuple[int, ...],
    mask: NDArray[np.bool_] | None,
    stride: int = 1,
) -> Labels:
    """Assign every voxel to a row of a table.

    Parameters
    ----------
    bins : (planes, rows, n) int array
        Bin of each fixed voxel.
    size : int
        B, bins per image.
    counts : (3,) tuple of int
        Regions along each axis, each with a table of its own.
    mask : (planes, rows, n) bool array or None
        Voxels that count.
    stride : {1, 2, 4}
        Every how many rows one is kept.
    """
    height = counts[2] * size
    dtype = np.int16 if height <= np.iinfo(np.int16).max else np.int32
    label: NDArray[Any] = bins.astype(dtype)
    cuts = [region_cuts(n, count) for n, count in zip(bins.shape, counts, strict=True)]
    along = np.repeat(np.arange(counts[2]), np.diff(cuts[2]))
    label += (along * size).astype(dtype)
    if mask is not None:
        label[~mask] = -1
    if stride > 1:
        i, j = np.ogrid[: label.shape[0], : label.shape[1]]
        skew = SKEW[stride] if len(label) > 1 else 1
        label[(i + skew * j) % stride != 0] = -1
    live = (label.max(axis=2) >= 0).astype(np.uint8)
    tiles, group = _tiles(bins.shape, cuts)
    total = [
        np.bincount(label[i0:i1, j0:j1].ravel() + 1, minlength=height + 1)[1:]
        for i0, i1, j0, j1 in tiles
    ]
    return Labels(label, live, tiles, group, np.array(total, float), height, size)


def _tiles(
    shape: tuple[int, ...], cuts: list[NDArray[np.int64]]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Tiles, none of which crosses the border of a region, and the group of regions of each."""
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
    """The largest stride that leaves `wanted` voxels per node of the displacement.

    share is that of the voxels that count: rows of a small mask are all compared.
    """
    if wanted is None:
        return 1
    available = share * math.prod(grid.shape) / math.prod(nodes)
    return max(s for s in SKEW if s == 1 or available >= s * wanted)
