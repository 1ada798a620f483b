"""Two images, their masks and the options, made one problem."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from ..backends.arrays import Array
from ..images.accepted import as_mask, read_mask, remarks
from ..images.image import Image
from ..images.intensities import robust_range
from ..optimise.check import Check
from ..options.options import Options
from .arguments import Range, intensity_ranges, sampled
from .problem import Problem


def prepared(
    moving: Image, fixed: Image, fixed_mask: Any, moving_mask: Any, options: Options,
    kernels: ModuleType, threads: int, function: str = "varreg.solve",
) -> Problem:  # fmt: skip
    """Both images in unit intensities, with their masks; `function` is for messages."""
    masks = (
        as_mask(fixed_mask, fixed, argument="fixed_mask", function=function),
        as_mask(moving_mask, moving, argument="moving_mask", function=function),
    )
    limits = unit_ranges(fixed.data, moving.data, masks, options)
    return Problem(
        sampled(fixed, masks[0], limits[0], "fixed", function),
        sampled(moving, masks[1], limits[1], "moving", function),
        options,
        kernels,
        threads,
    )


def prepared_with_masks(
    moving: Image, fixed: Image, fixed_mask: Any, moving_mask: Any, options: Options,
    kernels: ModuleType, threads: int, function: str = "varreg.solve",
) -> tuple[Problem, tuple[Check, ...], tuple[str, ...]]:  # fmt: skip
    """As :func:`prepared`, with anything that is accepted as a mask; what is odd about images and masks, and what was
    done to them.
    """
    masks = (
        read_mask(fixed_mask, fixed, argument="fixed_mask", function=function),
        read_mask(moving_mask, moving, argument="moving_mask", function=function),
    )
    checks, notes = remarks(moving, fixed, *masks)
    inside = masks[0].inside, masks[1].inside
    problem = prepared(moving, fixed, *inside, options, kernels, threads, function)
    return problem, checks, notes


def unit_ranges(
    fixed: Array, moving: Array, masks: tuple[Array | None, Array | None], options: Options
) -> tuple[Range, Range]:
    """The intensities that become 0 and 1, of either image: as given, or of what counts.

    What a mask leaves out, such as a bright lesion, must not squeeze all else into a few bins.
    """
    inside = _inside(fixed, masks[0]), _inside(moving, masks[1])
    given = intensity_ranges(*inside, options)
    return given[0] or robust_range(inside[0]), given[1] or robust_range(inside[1])


def _inside(data: Array, mask: Array | None) -> Array:
    """The values that count; all, if those that a mask leaves do not differ."""
    if mask is None:
        return data
    values = data[mask]
    return values if values.min() < values.max() else data
