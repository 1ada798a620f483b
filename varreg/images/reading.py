"""Reading of image files and nibabel images; all reading errors are converted to `FileError`.

Headers are not trusted: their claims are compared with the size of the file before memory is
allocated, and a compressed file is read to its end so that its checksum is verified.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .headers import placed
from .image_file import ImageFile
from .itk_reading import ITK_SUFFIXES, read_itk
from .opening import (
    explained,
    image_suffix,
    opened,
    refuse_absent,
    refuse_no_grid,
)
from .payload import stored_voxels
from .pictures import PICTURE_SUFFIXES, grey_picture, read_picture
from .pixel_sizes import pixel_size
from .slide_files import has_levels, may_be_pyramid, read_level
from .stored import Stored
from .voxels import refuse_kind, refuse_shape


def read_path(value: str | os.PathLike[str], *, argument: str, function: str) -> Stored:
    """Read an image file.

    Parameters
    ----------
    value : str, PathLike or ImageFile
        ``.nii .nii.gz .mgh .mgz``, or for 2D ``.png .tif .tiff .jpg .jpeg .bmp``, slides in OME-TIFF and with zarr in
        OME-Zarr; with SimpleITK ``.mha .mhd .nrrd .nhdr .dcm`` and the folder of a DICOM series.
    argument, function : str
        Names for the message.

    Returns
    -------
    Stored
        Colour is converted to luminance; the name is the file name without its folder.

    Raises
    ------
    FileError
        If the file is absent, empty, of unknown type, or cannot be read for any reason.
    InputError
        If it does not hold a 2D or 3D image of real numbers.

    Examples
    --------
    >>> read_path("absent.nii", argument="moving", function="varreg.solve")
    Traceback (most recent call last):
    varreg.errors.FileError: varreg.solve: `moving` is 'absent.nii', which does not exist; ...
    """
    with explained(argument, function, f"{os.fspath(value)!r}"):
        given = value if isinstance(value, ImageFile) else ImageFile(value)
        path = Path(os.fsdecode(value)).expanduser()
        refuse_absent(path, argument, function)
        suffix = "" if path.is_dir() else image_suffix(path, function=function, argument=argument)
        if suffix in PICTURE_SUFFIXES or may_be_pyramid(path):
            return _grey(_read_flat(path, given, argument, function), argument, function)
        if given.spacing is not None:
            raise InputError(
                f"{function}: `{argument}` is {str(path)!r}, whose header has its voxel sizes; leave `spacing` out, "
                "which is for pictures."
            )
        if given.level is not None or given.channel is not None:
            raise InputError(
                f"{function}: `{argument}` is {str(path)!r}; leave `level` and `channel` out, which are for slides."
            )
        if path.is_dir() or suffix in ITK_SUFFIXES:
            if given.header is not None:
                raise InputError(
                    f"{function}: `{argument}` is {str(path)!r}, which has one place only; leave `header` out, which is for "
                    "NIfTI."
                )
            return read_itk(path, argument=argument, function=function)
        return _read_spatial(opened(path), given.header, path.name, argument, function)


def read_pixels(value: str | os.PathLike[str], *, argument: str, function: str) -> Stored:
    """A picture with all its channels, (n, m) or (n, m, channels); see :func:`read_path`."""
    with explained(argument, function, f"{os.fspath(value)!r}"):
        given = value if isinstance(value, ImageFile) else ImageFile(value)
        path = Path(os.fsdecode(value)).expanduser()
        refuse_absent(path, argument, function)
        return _read_flat(path, given, argument, function)


def read_nibabel(image: Any, *, argument: str, function: str, voxels: bool = True) -> Stored:
    """Read the voxels and the affine of a nibabel image.

    Parameters
    ----------
    image : nibabel.spatialimages.SpatialImage
        Loaded from a file or made in memory.
    argument, function : str
        Names for the message.
    voxels : bool
        Whether they are needed; if not, zeros are returned.

    Returns
    -------
    Stored
        The header's scaling is applied in double precision, slab by slab, to float32.

    Raises
    ------
    FileError
        If the voxels cannot be read from the file behind the image.
    InputError
        If it is not a 2D or 3D image of real numbers.

    Examples
    --------
    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.zeros((4, 4, 4), np.int16), np.eye(4))
    >>> read_nibabel(image, argument="moving", function="varreg.solve").array.shape
    (4, 4, 4)
    """
    with explained(argument, function, f"a {type(image).__name__}"):
        name = Path(image.get_filename() or "").name if hasattr(image, "get_filename") else ""
        return _read_spatial(image, None, name, argument, function, voxels)


def _read_flat(path: Path, given: ImageFile, argument: str, function: str) -> Stored:
    """A picture, and its pixel size if given or stated in the file."""
    if has_levels(path) or given.level is not None or given.channel is not None:
        return read_level(path, given, argument, function)
    pixels = read_picture(path, argument=argument, function=function)
    size, notes = given.spacing, tuple[str, ...]()
    if size is None and path.suffix.lower() in (".tif", ".tiff"):
        size = pixel_size(path)
        if size is not None:
            note = f"`{argument}` states a pixel size of {size[0]:.4g} x {size[1]:.4g} mm."
            notes = (note,)
    affine = None if size is None else np.diag([*np.broadcast_to(size, 2), 1.0])
    return Stored(pixels, affine, path.name, notes=notes)


def _grey(stored: Stored, argument: str, function: str) -> Stored:
    """Convert a picture to an image."""
    picture = grey_picture(stored.array, function=function)
    notes = stored.notes
    if picture.coloured:
        notes = (*notes, f"`{argument}` is in colour, of which the luminance was taken.")
    return replace(stored, array=picture.pixels, opaque=picture.opaque, notes=notes)


def _read_spatial(
    image: Any, header: str | None, name: str, argument: str, function: str, voxels: bool = True
) -> Stored:
    """Validate the header before the voxels are accessed, then read them."""
    refuse_no_grid(image, argument, function)
    stored = image.dataobj
    refuse_shape(stored.shape, argument=argument, function=function)
    dtype = np.dtype(getattr(stored, "dtype", image.get_data_dtype()))
    refuse_kind(dtype, argument=argument, function=function, received=type(image).__name__)
    affine, checks, notes = placed(image, header, argument=argument, function=function)
    array = stored_voxels(stored) if voxels else np.broadcast_to(np.float32(0), stored.shape)
    return Stored(array, affine, name, checks=checks, notes=notes)
