"""The robust average of images on one grid, and its domain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..geometry.resampling import slabs
from ..images.image import Image
from ..images.warping import outside_value

AVERAGES = ("trimmed", "median", "mean")
#: Share of the participants excluded by the trimmed mean at either end.
TRIMMED = 0.2
#: Smallest share of the participants with data at a voxel.
ENOUGH = 0.5


def average(
    stack: Sequence[NDArray[np.float32]], rule: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """The voxelwise average, and the voxels where at least half of the images have data.

    Parameters
    ----------
    stack : sequence of (*S) float32 arrays
        NaN where an image has no data.  They may be memory-mapped: one slab of each is read at a time.
    rule : {"trimmed", "median", "mean"}
        "trimmed" is the mean without the fifth of the values at either end (of fewer than five, the plain mean).

    Returns
    -------
    values : (*S) float32 array
        NaN where fewer images have data.
    shown : (*S) bool array

    Examples
    --------
    >>> stack = [np.full((2, 2), value, np.float32) for value in (1, 2, 3, 4, 100)]
    >>> float(average(stack, "trimmed")[0][0, 0]), float(average(stack, "median")[0][0, 0])
    (3.0, 3.0)
    """
    shape = stack[0].shape
    values = np.full(shape, np.nan, np.float32)
    for slab in slabs(shape):
        part = np.sort(np.stack([each[slab] for each in stack]), axis=0)  # NaN at the end
        count = np.isfinite(part).sum(axis=0)
        found = _middle(part, count, rule)
        values[slab] = np.where(count >= ENOUGH * len(stack), found, np.nan)
    return values, np.isfinite(values)


def _middle(part: NDArray[np.float32], count: NDArray[np.int_], rule: str) -> NDArray[np.floating]:
    """The average of the first `count` of sorted values."""
    left = {"mean": np.zeros_like(count), "median": (count - 1) // 2}.get(
        rule, np.floor(TRIMMED * count + 1e-9).astype(int)
    )
    rank = np.arange(len(part)).reshape((-1,) + (1,) * count.ndim)
    used = (rank >= left) & (rank < count - left)
    total = np.where(used, part, 0).sum(axis=0, dtype=np.float64)
    return np.asarray(total / np.maximum(used.sum(axis=0), 1))


def template_image(like: Image, values: NDArray[np.float32], name: str) -> Image:
    """The average as an image: where too few images have data, its background, marked as no data."""
    shown = np.isfinite(values)
    if not shown.all():
        values = np.where(shown, values, np.float32(outside_value(values)))
    valid = None if shown.all() else shown
    return Image(np.ascontiguousarray(values), like.grid, name, like.frame, valid=valid)
