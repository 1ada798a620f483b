"""Data on the device: images, masks and the bins of the fixed image, in the layout of the kernels."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import HistogramRows, Moving, Warped

#: Most voxels per block, unless a single row is longer.
VOXELS_PER_BLOCK = 4096
#: Bits of the sums of one block, which must fit into an int32.
BITS = 30


class DeviceMoving(NamedTuple):
    """:class:`varreg.backends.arrays.Moving` on the device."""

    image: Any  # (p, q, r)
    mask: Any  # (p, q, r), or one element without a mask
    masked: bool
    cubic: bool
    low: float
    high: float


class DeviceRows(NamedTuple):
    """:class:`varreg.backends.arrays.HistogramRows` on the device."""

    bin: Any  # (planes, rows, n) int16, -1 outside the mask
    weight: Any  # (planes, rows, n) float32 weights of the voxels, or one element without weights
    weighted: bool
    lines: Any  # rows of the image with voxels inside the mask, i * rows + j, sorted by region
    items: Any  # (blocks, 5) first and stop row of `lines`, first and stop column, region
    line_region: Any  # (planes * rows,) the index of a region is the sum of this and the next
    column_region: Any  # (n,)
    bits: int  # sums are in units of 2^-bits
    regions: int
    bins: int
    height: int
    voxels: NDArray[Any]  # on the host: (T, height)
    shape: tuple[int, ...]


def moving_on_device(cupy: Any, moving: Moving) -> DeviceMoving:
    """Copy of a moving image on the device."""
    masked = moving.mask.size > 0
    mask = moving.mask if masked else np.ones(1, moving.image.dtype)
    return DeviceMoving(
        cupy.asarray(moving.image), cupy.asarray(mask), masked, bool(moving.cubic),
        float(moving.low), float(moving.high),
    )  # fmt: skip


def warped_on_device(cupy: Any, warped: Warped) -> Warped:
    """Buffers of the same shapes on the device."""
    return Warped(*(cupy.zeros(buffer.shape, buffer.dtype) for buffer in warped))


def full_rows(warped: Warped) -> NDArray[np.bool_]:
    """Mask of the full rows of host buffers, whose weights are 1 but undefined in the array, (planes, rows, 1)."""
    return warped.full.reshape(*warped.value.shape[:2], 1).astype(bool)


def defined_weight(warped: Warped) -> NDArray[Any]:
    """Weights of host buffers, with 1 in full rows."""
    return np.where(full_rows(warped), warped.weight.dtype.type(1), warped.weight)


def rows_on_device(cupy: Any, rows: HistogramRows) -> DeviceRows:
    """Bins of the fixed image on the device, with their distribution over blocks."""
    planes, height, n = rows.row.shape
    along = rows.height // rows.bins
    column_region = _column_regions(rows)
    line_group = _line_groups(rows)
    bin_ = np.where(rows.row >= 0, rows.row - column_region * rows.bins, -1).astype(np.int16)
    lines = np.flatnonzero(rows.occupied.ravel()).astype(np.int32)
    lines = lines[np.argsort(line_group[lines], kind="stable")]
    items, voxels = _items(line_group[lines], column_region, along)
    weighted = rows.weight.size > 0
    return DeviceRows(
        weight=cupy.asarray(rows.weight if weighted else np.ones(1, np.float32)), weighted=weighted,
        bin=cupy.asarray(bin_), lines=cupy.asarray(lines if len(lines) else np.zeros(1, np.int32)),
        items=cupy.asarray(items), line_region=cupy.asarray((line_group * along).astype(np.int32)),
        column_region=cupy.asarray(column_region.astype(np.int32)),
        bits=BITS - max(voxels - 1, 1).bit_length(), regions=(len(rows.first_tile) - 1) * along,
        bins=rows.bins, height=rows.height, voxels=rows.voxels, shape=(planes, height, n),
    )  # fmt: skip


def _column_regions(rows: HistogramRows) -> NDArray[np.int64]:
    """Region of each column along the last axis, (n,); arbitrary for columns outside the mask."""
    found = rows.row.max(axis=(0, 1)).astype(np.int64) // rows.bins
    return np.maximum.accumulate(np.maximum(found, 0))


def _line_groups(rows: HistogramRows) -> NDArray[np.int64]:
    """Group of tiles of each row of the image, (planes * rows,)."""
    found = np.zeros(rows.row.shape[:2], np.int64)
    for (i0, i1, j0, j1), group in zip(rows.tiles, rows.group, strict=True):
        found[i0:i1, j0:j1] = group
    return found.ravel()


def _items(
    group: NDArray[np.int64], column: NDArray[np.int64], along: int
) -> tuple[NDArray[np.int32], int]:
    """Box of rows and columns within one region for each block, and the largest number of voxels of a box."""
    items, most = [(0, 0, 0, 1, 0)], 1  # an empty box, because launches need at least one block
    groups = int(group[-1]) + 1 if len(group) else 0
    cuts = np.searchsorted(group, np.arange(groups + 1))
    edges = np.searchsorted(column, np.arange(along + 1))
    for number, (first, stop) in enumerate(zip(cuts[:-1], cuts[1:], strict=True)):
        for place, (left, right) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
            if left == right:
                continue
            step = max(1, VOXELS_PER_BLOCK // int(right - left))
            for row in range(first, stop, step):
                end = min(row + step, stop)
                items.append((row, end, left, right, number * along + place))
                most = max(most, int((end - row) * (right - left)))
    return np.array(items, np.int32), most
