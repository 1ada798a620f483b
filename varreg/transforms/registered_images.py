"""Verification that images are those that a transform was computed from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..errors import InputError
from ..images.image import Image
from .transform import Transform

#: Largest mean difference attributed to rounding, as a share of the intensity range of the warped image.
TOLERANCE = 1e-3


def refuse_other_grids(transform: Transform, moving: Image, fixed: Image, function: str) -> None:
    """Raise InputError if an image does not lie on the grid of the transform."""
    for side, image in (("fixed", fixed), ("moving", moving)):
        grid = getattr(transform, side)
        if not image.grid.same_space(grid):
            raise InputError(
                f"{function}: `{side}` does not lie where the {side} image of the result lay "
                f"({grid.shape} voxels, got {image.grid.shape}); pass the image that was registered."
            )


def refuse_other_moving(transform: Transform, moving: Image, warped: Image, function: str) -> None:
    """Raise InputError if a moving image, warped, differs from the warped image of the registration.

    This also detects swapped images on one grid.
    """
    stored, again = warped.values, transform.warp(moving)
    low, high = float(warped.data.min()), float(warped.data.max())
    ones = np.ones(moving.grid.shape, np.float32)
    seen = (
        transform.warp(replace(moving, data=ones), "nearest", fill=0) > 0
    )  # outside, the fill value is arbitrary
    known = np.isfinite(stored) & seen
    other = bool((np.isfinite(again) & seen != known).any())
    difference = float(np.abs(again - stored)[known].mean()) if known.any() else 0.0
    if other or difference > TOLERANCE * max(high - low, 1e-30):
        raise InputError(
            f"{function}: `moving`, warped by the result, is not the warped image that the result "
            "holds; pass the image that was registered."
        )
