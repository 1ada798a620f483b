"""Two images, their masks and the options, made one problem."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from .arguments import intensity_ranges, sampled
from .image import as_mask
from .options import Options
from .problem import Problem
from .scalar_image import Image


def prepared(
    moving: Image, fixed: Image, fixed_mask: Any, moving_mask: Any, options: Options,
    kernels: ModuleType, threads: int, function: str = "varreg.solve",
) -> Problem:  # fmt: skip
    """Both images in unit intensities, with their masks; `function` is for messages."""
    masks = (
        as_mask(fixed_mask, fixed, argument="fixed_mask", function=function),
        as_mask(moving_mask, moving, argument="moving_mask", function=function),
    )
    limits = intensity_ranges(fixed.data, moving.data, options)
    return Problem(
        sampled(fixed, masks[0], limits[0], "fixed", function),
        sampled(moving, masks[1], limits[1], "moving", function),
        options,
        kernels,
        threads,
    )
