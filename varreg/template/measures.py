"""Measures of a template in each round."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..geometry.matrices import transform_points
from ..images.background import foreground_weight
from ..images.image import Image
from ..images.intensities import unit_intensities
from ..transforms.transform import Transform

#: Smallest difference from the background for voxels of the head, as a share of the intensity range.
HEAD = 0.1
#: Largest number of pairs of participants for the overlap of labels.
PAIRS = 100


def head_of_template(image: Image) -> NDArray[np.bool_]:
    """Voxels of the head in the template, (*S); all voxels with data if there are none."""
    valid = np.ones(image.grid.shape, bool) if image.valid is None else image.valid
    head = valid & (foreground_weight(unit_intensities(image.data, None)) > HEAD)
    return head if head.any() else valid


def steepness(values: NDArray[np.float32], head: NDArray[np.bool_], spacing: np.ndarray) -> float:
    """Mean gradient magnitude over the head, per mm."""
    slopes = np.gradient(values, *map(float, spacing))
    length = np.sqrt(sum(np.square(slope) for slope in slopes))
    return float(np.nanmean(length[head]))


def likeness(values: NDArray[np.float32], image: Image, head: NDArray[np.bool_]) -> float:
    """Correlation of a participant's warped image with the template over the head."""
    known = head & np.isfinite(values)
    here, there = values[known].astype(np.float64), image.data[known].astype(np.float64)
    if not here.size or here.std() == 0 or there.std() == 0:
        return 0.0
    return float(np.corrcoef(here, there)[0, 1])


def moved(maps: Transform, head: NDArray[np.bool_], whole: bool) -> float:
    """Mean displacement (mm) of points of the head by a map: by u alone, or by the whole map."""
    voxels = np.argwhere(head)
    points = voxels[:: max(1, len(voxels) // 20_000)].T.astype(np.float64)
    change = maps.fixed.direction @ maps.u_at(points)
    if whole:
        start = maps.fixed.voxel_to_world(points)
        change = transform_points(maps.affine, start + change) - start
    return float(np.linalg.norm(change, axis=0).mean())


def pairs_of(people: int) -> Iterator[tuple[int, int]]:
    """All pairs of participants, or an evenly spaced subset."""
    pairs = list(itertools.combinations(range(people), 2))
    return iter(pairs[:: max(1, -(-len(pairs) // PAIRS))])


def mean_dice(labels: Sequence[NDArray[np.integer]]) -> float:
    """Mean Dice overlap over pairs of participants and over labels present in either; label 0 is excluded."""
    return float(np.mean([dice(labels[i], labels[j]) for i, j in pairs_of(len(labels))]))


def dice(one: NDArray[np.integer], other: NDArray[np.integer]) -> float:
    """Mean Dice overlap over the labels of two label maps; NaN if there are none.

    >>> float(dice(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])))
    0.6666666666666666
    """
    names = np.unique(np.concatenate([np.unique(one), np.unique(other)]))
    size = len(names)
    a, b = (np.searchsorted(names, each.ravel()) for each in (one, other))
    first, second, both = (np.bincount(v, minlength=size) for v in (a, b, a[a == b]))
    scores = 2 * both / (first + second)
    kept = scores[names != 0]
    return float(kept.mean()) if kept.size else float("nan")
