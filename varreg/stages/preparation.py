"""Images, their masks and the options, made one problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

from ..backends.arrays import Array
from ..images.accepted import read_mask, remarks
from ..images.channels import Pair
from ..images.image import Image
from ..images.intensities import by_weight, robust_range
from ..optimise.check import Check
from ..options.options import Options
from .arguments import Range, intensity_ranges, refuse_other_counts, sampled
from .problem import Levels, Problem
from .rigidity import as_rigid_masks


def prepared(
    moving: Image, fixed: Image, fixed_mask: Any, moving_mask: Any, options: Options,
    kernels: ModuleType, threads: int, function: str = "varreg.solve", further: Sequence[Pair] = (),
) -> Problem:  # fmt: skip
    """All images in unit intensities, with their masks.

    Parameters
    ----------
    moving, fixed : Image
    fixed_mask, moving_mask : see :func:`varreg.images.accepted.read_mask`
        Of all images of their side.
    options : Options
    kernels : module
    threads : int
    function : str
        For messages.
    further : sequence of (moving, fixed)
        More pairs, on the same grids.
    """
    refuse_other_counts(options, 1 + len(further), fixed.grid.dim, function)
    pairs: list[Levels] = []
    for number, images in enumerate(((fixed, moving), *(pair[::-1] for pair in further))):
        masks = (
            _counted(fixed_mask, images[0], "fixed_mask", function),
            _counted(moving_mask, images[1], "moving_mask", function),
        )
        limits = unit_ranges(images[0].data, images[1].data, masks, options, number)
        at = f"[{number}]" if number else ""
        pairs.append(
            (
                sampled(images[0], masks[0], limits[0], f"fixed{at}", function),
                sampled(images[1], masks[1], limits[1], f"moving{at}", function),
            )
        )
    return Problem(*pairs[0], options, kernels, threads, tuple(pairs[1:]))


def _counted(mask: Any, image: Image, argument: str, function: str) -> Any:
    """The voxels of an image inside its mask, or their weights: without a mask those that hold data."""
    mask = image.valid if mask is None else mask
    return read_mask(mask, image, argument=argument, function=function).counts


def prepared_with_masks(
    moving: Image, fixed: Image, fixed_mask: Any, moving_mask: Any, options: Options,
    kernels: ModuleType, threads: int, function: str = "varreg.solve", further: Sequence[Pair] = (),
    rigid_masks: tuple[Any, Any] = (None, None),
) -> tuple[Problem, tuple[Check, ...], tuple[str, ...]]:  # fmt: skip
    """As :func:`prepared`, with anything that is accepted as a mask, and the rigid masks (of the moving and of the
    fixed image); what is odd about images and masks, and what was done to them.
    """
    masks = (
        read_mask(fixed_mask, fixed, argument="fixed_mask", function=function),
        read_mask(moving_mask, moving, argument="moving_mask", function=function),
    )
    others = (image for pair in further for image in pair)
    checks, notes = remarks(moving, fixed, *others, *masks)
    # what one image does not show, another of its side may
    inside = (
        None if fixed_mask is None else masks[0].counts,
        None if moving_mask is None else masks[1].counts,
    )
    rigid, odd, kept = as_rigid_masks(*rigid_masks, moving, fixed, function)
    problem = prepared(moving, fixed, *inside, options, kernels, threads, function, further)
    return replace(problem, rigid=rigid), checks + odd, notes + kept


def unit_ranges(
    fixed: Array, moving: Array, masks: tuple[Array | None, Array | None], options: Options,
    pair: int = 0,
) -> tuple[Range, Range]:  # fmt: skip
    """The intensities that become 0 and 1, of either image: as given, or of the voxels inside the mask.

    Voxels outside the mask, such as a bright lesion, must not compress all others into a few bins.
    """
    inside = _inside(fixed, masks[0]), _inside(moving, masks[1])
    given = intensity_ranges(*inside, options, pair)
    return given[0] or robust_range(inside[0]), given[1] or robust_range(inside[1])


def _inside(data: Array, mask: Array | None) -> Array:
    """The values that count, as often as their weights say; all, if those that a mask leaves do not differ."""
    if mask is None:
        return data
    values = data[mask] if mask.dtype == bool else by_weight(data, mask)
    return values if values.min() < values.max() else data
