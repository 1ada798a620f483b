"""Multichannel input: several moving and several fixed images, each side on the grid of its first image."""

from __future__ import annotations

from dataclasses import replace
from numbers import Number
from typing import Any

import numpy as np

from ..errors import GeometryError, InputError
from ..geometry.resampling import affine_coordinates, voxel_matrix
from .accepted import as_image, as_pair
from .frames import in_frame
from .image import Image
from .warping import warped

#: Smallest share of the first image's field of view that further images of the same side must cover.
LEAST_SHARE = 0.05
Pair = tuple[Image, Image]


def as_channels(moving: Any, fixed: Any, function: str = "varreg.solve") -> tuple[Pair, ...]:
    """Pairs (moving, fixed) of images, each side resampled onto the grid of its first image.

    Parameters
    ----------
    moving, fixed : image, or list or tuple of images
        See :func:`varreg.images.accepted.as_pair`; as many moving as fixed images.
    function : str
        Name for the messages.

    Raises
    ------
    InputError
        As `as_pair`, or if the numbers differ, or an array has another shape than the first image.
    GeometryError
        As `as_pair`, or if an image hardly overlaps the first image of its side.
    FileError
        As `as_pair`.

    Examples
    --------
    >>> pairs = as_channels([np.eye(8), np.ones((8, 8)) - np.eye(8)], [np.eye(8), np.tri(8)])
    >>> len(pairs), pairs[1][0].grid.shape
    (2, (8, 8))
    """
    sides = [list(value) if is_several(value) else [value] for value in (moving, fixed)]
    if len(sides[0]) != len(sides[1]):
        raise InputError(
            f"{function}: `moving` has {_images(sides[0])} and `fixed` has {_images(sides[1])}; they are compared pair by "
            "pair, so give as many of either, e.g. varreg.solve([t2, flair], [t1, t1c])."
        )
    if not sides[0]:
        raise InputError(f"{function}: `moving` and `fixed` are empty lists; give images.")
    first = as_pair(sides[0][0], sides[1][0], function)
    further = []
    for k, values in enumerate(zip(*sides, strict=True)):
        if k:
            names = f"moving[{k}]", f"fixed[{k}]"
            sized = zip(values, first, names, strict=True)
            here, there = (on_grid_of(like, value, name, function) for value, like, name in sized)
            further.append((here, there))
    return first, *further


def is_several(value: Any) -> bool:
    """Whether the value is a list of images rather than one image as nested lists of numbers.

    Examples
    --------
    >>> is_several(["t2.nii", "flair.nii"]), is_several([[1, 2], [3, 4]])
    (True, False)
    """
    return isinstance(value, (list, tuple)) and not any(map(_is_row, value))


def _is_row(value: Any) -> bool:
    """Whether the value is a row of an image, a list of rows, or a number."""
    return isinstance(value, (Number, list, tuple)) or getattr(value, "ndim", None) in (0, 1)


def on_grid_of(like: Image, value: Any, argument: str, function: str) -> Image:
    """An image resampled onto the grid of another image of the same participant.

    Voxels outside its field of view hold no data.
    """
    image = as_image(value, argument=argument, function=function)
    side = argument.partition("[")[0]
    if image.grid.dim != like.grid.dim:
        raise InputError(
            f"{function}: `{argument}` is {image.grid.dim}D and `{side}[0]` {like.grid.dim}D."
        )
    planes = f"{function}: `{argument}` and `{side}[0]` are slices whose planes"
    image = in_frame(image, like.frame, planes, "take slices of one plane.")
    same_shape = image.grid.shape == like.grid.shape
    if same_shape and (image.placed != like.placed or image.grid.same_space(like.grid)):
        return replace(image, grid=like.grid, frame=like.frame)
    if not (image.placed and like.placed):
        raise InputError(
            f"{function}: `{argument}` has shape {image.grid.shape} and `{side}[0]` {like.grid.shape}; an image without "
            "a position must have the grid of the first one."
        )
    share = like.grid.overlap_fraction(image.grid, np.eye(like.grid.dim + 1))
    if share < LEAST_SHARE:
        raise GeometryError(
            f"{function}: `{argument}` shows {100 * share:.2g} % of what `{side}[0]` shows; they must be of one person and "
            "aligned to each other: correct the headers, or register them first."
        )
    matrix = voxel_matrix(like.grid.affine, np.eye(like.grid.dim + 1), image.grid.affine)
    shape = like.grid.shape
    values = warped(
        image.data,
        image.valid,
        shape,
        lambda slab: affine_coordinates(matrix, shape, slab),
        fill=np.nan,
    )
    note = f"`{argument}` was resampled to the grid of `{side}[0]` (linear)."
    found = like.holding(values, image.name)
    return replace(found, checks=image.checks, notes=(*image.notes, note))


def _images(values: list[Any]) -> str:
    return f"{len(values)} image{'' if len(values) == 1 else 's'}"
