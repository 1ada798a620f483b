"""What is accepted as an image, a pair of images or a mask, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import GeometryError, InputError
from . import slices
from .frames import STEEPEST, in_frame, projected
from .image import Image
from .loading import loaded
from .nifti import vector_to_nifti
from .voxels import refuse_constant

__all__ = ["Image", "as_image", "as_mask", "as_pair", "vector_to_nifti"]

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
        If it is no image, or holds no data, or is constant.
    GeometryError
        If its affine is not finite or singular.
    FileError
        If its file cannot be read.

    Examples
    --------
    >>> as_image(np.eye(8), argument="moving").grid.shape
    (8, 8)
    """
    image, _ = loaded(value, argument=argument, function=function)
    known = image.data if image.valid is None else image.data[image.valid]
    refuse_constant(known, argument=argument, function=function)
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
    frame = second.frame
    planes = f"{function}: `moving` and `fixed` are slices whose planes"
    remedy = "they share no in-plane space; to align them regardless of the headers pass arrays, e.g. nibabel.load(path).get_fdata()."
    return in_frame(first, frame, planes, remedy), second


def as_mask(
    value: Any, image: Image, *, argument: str, function: str = "varreg.solve"
) -> np.ndarray | None:
    """Take anything that is a mask of an image; voxels that are not 0 are inside, if the image holds data there.

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
        None if `value` is None and the image holds data everywhere.

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
        return image.valid
    mask, has_affine = loaded(value, argument=argument, function=function)
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
    for valid in (mask.valid, image.valid):
        inside = inside if valid is None else inside & valid
    count = int(inside.sum())
    if count < _FEWEST_INSIDE:
        raise InputError(
            f"{function}: `{argument}` has {count} voxels inside (not 0); at least "
            f"{_FEWEST_INSIDE} are needed. Check that the mask is not empty."
        )
    return np.asarray(inside)


def _dimension(image: Image) -> str:
    """Say 2D or 3D and with which shape."""
    shape = image.volume_shape or image.grid.shape
    return f"{image.grid.dim}D ({'one slice, ' if 1 in shape[:3] else ''}shape {shape})"


def _same_place(mask: Image, image: Image) -> bool:
    """Compare places in 3D; a slice that `as_pair` projected is met by projecting its mask too."""
    if mask.frame is not None and image.frame is not None:
        if slices.angle_between(mask.frame, image.frame) > STEEPEST:
            return False
        mask = projected(mask, image.frame)
        shift = (mask.volume_affine - image.volume_affine)[:3, 3]
        if abs(image.frame[:3, 2] @ shift) > _MASK_TOLERANCE * float(image.grid.spacing.min()):
            return False
    return image.grid.same_space(mask.grid, _MASK_TOLERANCE)
