"""What is accepted as an image, a pair of images or a mask, and what is refused."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GeometryError, InputError
from ..geometry.grid import Grid
from . import slices
from .image import Image, place
from .nifti import vector_to_nifti
from .voxels import as_float32, real_array, refuse_constant, refuse_shape

__all__ = ["Image", "as_image", "as_mask", "as_pair", "vector_to_nifti"]

_STEEPEST = 5.0  # degrees between two slices that still count as parallel
_FEWEST_INSIDE = 16  # voxels of a mask; a joint histogram of fewer says nothing
_MASK_TOLERANCE = 1e-2  # voxel; headers rounded by other tools, far below what a mask can express


def as_image(value: Any, *, argument: str, function: str = "varreg.solve") -> Image:
    """Take anything that is an image and refuse anything that cannot be registered.

    Parameters
    ----------
    value : Image, array-like, nibabel image, str or PathLike
        2D or 3D, or 3D with one singleton axis (a slice); at least 4 voxels along each axis.
        Files: ``.nii .nii.gz .mgh .mgz``; for 2D ``.png .tif .tiff .jpg .jpeg .bmp``.
        An array and a picture get spacing 1 mm and the origin at the first voxel.
    argument, function : str
        Names for the messages.

    Returns
    -------
    Image
        `value` itself if it is an Image.

    Raises
    ------
    InputError
        If it is no image, or has NaN or infinite voxels, or is constant.
    GeometryError
        If its affine is not finite or singular.
    FileError
        If its file cannot be read.

    Examples
    --------
    >>> as_image(np.eye(8), argument="moving").grid.shape
    (8, 8)
    """
    image, _ = _loaded(value, argument, function)
    refuse_constant(image.data, argument=argument, function=function)
    return image


def as_pair(moving: Any, fixed: Any, function: str = "varreg.solve") -> tuple[Image, Image]:
    """Take two images of one dimension; parallel slices come to share one in-plane world.

    Parameters
    ----------
    moving, fixed : see `as_image`
        Both 2D or both 3D.
    function : str
        Name for the messages.

    Returns
    -------
    moving, fixed : Image
        If both are slices of volumes, the grid of `moving` is expressed in the frame of `fixed`.

    Raises
    ------
    InputError
        As `as_image`, or if the dimensions differ.
    GeometryError
        As `as_image`, or if two slices are not parallel within 5 degrees.
    FileError
        As `as_image`.

    Examples
    --------
    >>> moving, fixed = as_pair(np.eye(8), np.eye(9))
    >>> moving.grid.shape, fixed.grid.shape
    ((8, 8), (9, 9))
    """
    first = as_image(moving, argument="moving", function=function)
    second = as_image(fixed, argument="fixed", function=function)
    if first.grid.dim != second.grid.dim:
        raise InputError(
            f"{function}: `moving` is {_dimension(first)} and `fixed` is {_dimension(second)}; "
            "both must be 2D or both 3D, e.g. take the matching slice out of the volume."
        )
    if first.frame is None or second.frame is None:
        return first, second
    angle = slices.angle_between(first.frame, second.frame)
    if angle > _STEEPEST:
        raise GeometryError(
            f"{function}: `moving` and `fixed` are slices whose planes are {angle:.1f} degrees "
            f"apart (at most {_STEEPEST:g}), so they share no in-plane space; to align them "
            "regardless of the headers pass arrays, e.g. nibabel.load(path).get_fdata()."
        )
    return _in_frame(first, second.frame), second


def as_mask(
    value: Any, image: Image, *, argument: str, function: str = "varreg.solve"
) -> np.ndarray | None:
    """Take anything that is a mask of an image; voxels that are not 0 are inside.

    Parameters
    ----------
    value : None, Image, array-like, nibabel image, str or PathLike
        Of the image's shape; one that comes with an affine must lie where the image lies.
    image : Image
        What is masked.
    argument, function : str
        Names for the messages.

    Returns
    -------
    (*S) bool array or None
        None if `value` is None.

    Raises
    ------
    InputError
        If the shape differs, a voxel is not finite, or fewer than 16 voxels are inside.
    GeometryError
        If its affine is not that of the image.
    FileError
        If its file cannot be read.

    Examples
    --------
    >>> image = as_image(np.eye(8), argument="fixed")
    >>> int(as_mask(np.ones((8, 8)), image, argument="fixed_mask").sum())
    64
    """
    if value is None:
        return None
    mask, has_affine = _loaded(value, argument, function)
    if mask.grid.shape != image.grid.shape:
        raise InputError(
            f"{function}: `{argument}` has shape {mask.grid.shape} and its image has "
            f"{image.grid.shape}; make the mask on the image's own grid."
        )
    if has_affine and not _same_place(mask, image):
        raise GeometryError(
            f"{function}: `{argument}` has the image's shape but another place in space (affine "
            f"{mask.volume_affine.round(4).tolist()}, the image has "
            f"{image.volume_affine.round(4).tolist()}); resample it onto the image, or pass it "
            "as an array if its voxels do correspond."
        )
    inside = mask.data != 0
    count = int(inside.sum())
    if count < _FEWEST_INSIDE:
        raise InputError(
            f"{function}: `{argument}` has {count} voxels inside (not 0); at least "
            f"{_FEWEST_INSIDE} are needed. Check that the mask is not empty."
        )
    return np.asarray(inside)


def _loaded(value: Any, argument: str, function: str) -> tuple[Image, bool]:
    """Load any kind of image; tell also whether it came with a place in space."""
    names = {"argument": argument, "function": function}
    if isinstance(value, Image):
        refuse_shape(value.data.shape, **names)
        as_float32(value.data, **names)  # an Image made by hand may hold anything
        return value, True
    affine, name = None, ""
    if isinstance(value, (str, os.PathLike)):
        from .reading import read_path

        array, affine, name = read_path(value, **names)
    elif hasattr(value, "dataobj"):  # nibabel is not imported to find that out
        from .reading import read_nibabel

        array, affine = read_nibabel(value, **names)
        name = Path(value.get_filename() or "").name
    else:
        array = real_array(value, **names)
    refuse_shape(array.shape, **names)
    return place(array, affine, name, **names), affine is not None


def _dimension(image: Image) -> str:
    """Say 2D or 3D and with which shape."""
    shape = image.volume_shape or image.grid.shape
    return f"{image.grid.dim}D ({'one slice, ' if 1 in shape[:3] else ''}shape {shape})"


def _in_frame(image: Image, frame: np.ndarray) -> Image:
    """Express a slice in the directions of another slice's frame."""
    if image.frame is None or np.array_equal(image.frame[:3, :3], frame[:3, :3]):
        return image
    plane, own = slices.project(image.grid.affine, image.frame, image.grid.shape, frame)
    return replace(image, grid=Grid(image.grid.shape, plane), frame=own)


def _same_place(mask: Image, image: Image) -> bool:
    """Compare places in 3D; a slice that `as_pair` projected is met by projecting its mask too."""
    if mask.frame is not None and image.frame is not None:
        if slices.angle_between(mask.frame, image.frame) > _STEEPEST:
            return False
        mask = _in_frame(mask, image.frame)
        shift = (mask.volume_affine - image.volume_affine)[:3, 3]
        if abs(image.frame[:3, 2] @ shift) > _MASK_TOLERANCE * float(image.grid.spacing.min()):
            return False
    return image.grid.same_space(mask.grid, _MASK_TOLERANCE)
