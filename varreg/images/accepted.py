"""Validation of the accepted images and pairs of images."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import InputError
from ..optimise.check import Check
from .frames import in_frame
from .image import Image
from .loading import loaded
from .masks import Mask, as_mask, read_mask
from .nifti import vector_to_nifti
from .voxels import refuse_constant

__all__ = [
    "Image",
    "Mask",
    "as_image",
    "as_mask",
    "as_pair",
    "read_mask",
    "remarks",
    "vector_to_nifti",
]

#: Ratio of the largest voxel size of one image to the smallest of the other up to which no warning is given.
SIZES = 1.5


def as_image(value: Any, *, argument: str, function: str = "varreg.solve") -> Image:
    """Convert anything that is an image, and refuse anything that cannot be registered.

    Parameters
    ----------
    value : Image, array-like, nibabel image, str or PathLike; itk.Image, SimpleITK.Image, ANTsImage, MetaTensor
        2D or 3D, or 3D with one singleton axis (a slice); at least 4 voxels along each axis.
        Files: ``.nii .nii.gz .mgh .mgz``; for 2D ``.png .tif .tiff .jpg .jpeg .bmp``;
        with SimpleITK ``.mha .mhd .nrrd .nhdr .dcm`` and folders of a DICOM series.
        Arrays and pictures are assigned a spacing of 1 mm and the origin at the first voxel.  An array on a GPU is
        copied to the host, see :mod:`varreg.images.device_arrays`.
    argument, function : str
        Names for the messages.

    Returns
    -------
    Image
        `value` itself if it is an Image.

    Raises
    ------
    InputError
        If it is not an image, is empty, or is constant.
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
    """Convert two images of equal dimension; parallel slices are expressed in one in-plane world.

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
    return in_frame(_sized(first, second), frame, planes, remedy), second


def _sized(moving: Image, fixed: Image) -> Image:
    """The moving image, with a warning if only one of the two has voxel sizes, so that 1 mm is assumed for the other."""
    if moving.placed == fixed.placed:
        return moving
    names = ("moving", "fixed") if fixed.placed else ("fixed", "moving")
    sizes = [image.grid.spacing for image in (moving, fixed)]
    factor = float(np.max(sizes[0]) / np.min(sizes[1]))
    factor = max(factor, float(np.max(sizes[1]) / np.min(sizes[0])))
    if factor <= SIZES:
        return moving
    check = Check(
        "voxel sizes", factor, SIZES, False,
        f"`{names[0]}` has no voxel size and was taken to have 1 mm; the voxels of `{names[1]}` are "
        f"have another size ({' x '.join(f'{size:.3g}' for size in (fixed if fixed.placed else moving).grid.spacing)} mm).",
        "Give it: varreg.Image.from_array(array, spacing=...), varreg.ImageFile(path, spacing=...) (command line: "
        "--spacing), or pass both images without one.",
    )  # fmt: skip
    return replace(moving, checks=(*moving.checks, check))


def remarks(*inputs: Image | Mask) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Warnings about images and masks, and notes on changes made to them."""
    checks = tuple(check for each in inputs for check in each.checks)
    return checks, tuple(note for each in inputs for note in each.notes)


def _dimension(image: Image) -> str:
    """Dimension (2D or 3D) and shape, for messages."""
    shape = image.volume_shape or image.grid.shape
    return f"{image.grid.dim}D ({'one slice, ' if 1 in shape[:3] else ''}shape {shape})"
