"""The head: the foreground of the fixed image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..images.level_image import LevelImage

#: Voxels that differ from the background by less than this (unit intensities) belong to it.
CONTRAST = 0.08
#: Smallest share of the field of view for a head; otherwise the whole field of view is used.
LEAST_SHARE = 0.01


@dataclass(frozen=True)
class Head:
    """Foreground of an image.

    Attributes
    ----------
    shown : (*S) bool array
        Foreground voxels.
    centre : (d,) array
        World coordinates, mm.
    size : float
        Diameter of the ball (disc) with the same second moments, mm.
    """

    shown: NDArray[np.bool_]
    centre: Array
    size: float


def head_of(image: LevelImage) -> Head:
    """The voxels inside the mask that differ from the background, i.e. the median of the border.

    Brightness is no criterion: the glass of a slide is brighter than the tissue on it.
    """
    faces = [image.data.take(end, axis) for axis in range(image.data.ndim) for end in (0, -1)]
    background = float(np.median(np.concatenate([face.ravel() for face in faces])))
    shown = np.abs(image.data - background) > CONTRAST
    if image.counted is not None:
        shown &= image.counted
    if shown.mean() < LEAST_SHARE:
        shown = np.ones_like(shown) if image.counted is None else np.asarray(image.counted)
    if not shown.any():
        shown = np.ones_like(shown)
    points = np.argwhere(shown).T.astype(np.float64)
    world = image.grid.voxel_to_world(points)
    centre = world.mean(1)
    d = len(centre)
    # a ball of radius r has mean squared distance r^2 d / (d + 2) from its centre
    spread = float(np.square(world - centre[:, None]).sum(0).mean())
    size = 2 * np.sqrt(spread * (d + 2) / d)
    return Head(shown, centre, float(max(size, image.grid.spacing.max())))
