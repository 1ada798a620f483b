"""Preparation of a registration problem from images, masks and options."""

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
    """Registration problem with all images in unit intensities, and their masks.

    Parameters
    ----------
    moving, fixed : Image
    fixed_mask, moving_mask : see :func:`varreg.images.accepted.read_mask`
        Masks of all fixed, and of all moving images.
    options : Options
    kernels : module
        The backend.
    threads : int
    function : str
        Name of the calling function, for messages.
    further : sequence of (moving, fixed)
        More pairs, on the same grids.

    Returns
    -------
    Problem
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
    """Voxels of an image inside its mask, or their weights; by default the voxels with valid data."""
    mask = image.valid if mask is None else mask
    return read_mask(mask, image, argument=argument, function=function).counts


def prepared_with_masks(
    moving: Image, fixed: Image, fixed_mask: Any, moving_mask: Any, options: Options,
    kernels: ModuleType, threads: int, function: str = "varreg.solve", further: Sequence[Pair] = (),
    rigid_masks: tuple[Any, Any] = (None, None),
) -> tuple[Problem, tuple[Check, ...], tuple[str, ...]]:  # fmt: skip
    """:func:`prepared` with anything that is accepted as a mask, and with rigid masks (moving, fixed).

    Returns
    -------
    problem : Problem
    checks : tuple of Check
        Warnings about images and masks.
    notes : tuple of str
        Remarks on their processing.
    """
    masks = (
        read_mask(fixed_mask, fixed, argument="fixed_mask", function=function),
        read_mask(moving_mask, moving, argument="moving_mask", function=function),
    )
    others = (image for pair in further for image in pair)
    checks, notes = remarks(moving, fixed, *others, *masks)
    # voxels without data in one image may have data in another on the same grid
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
    """Intensity ranges that are scaled to [0, 1]: as given, or the robust range of the voxels inside the mask.

    Voxels outside the mask, such as a bright lesion, must not compress the others into a few bins.
    """
    inside = _inside(fixed, masks[0]), _inside(moving, masks[1])
    given = intensity_ranges(*inside, options, pair)
    return given[0] or robust_range(inside[0]), given[1] or robust_range(inside[1])


def _inside(data: Array, mask: Array | None) -> Array:
    """Values inside the mask, repeated according to their weights; all values if those in the mask are constant."""
    if mask is None:
        return data
    values = data[mask] if mask.dtype == bool else by_weight(data, mask)
    return values if values.min() < values.max() else data
