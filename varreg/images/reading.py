"""Files and nibabel images -> arrays and affines, with every way a file can be bad turned into
one `FileError`.

A header is not trusted: what it claims is compared with what the file can hold before any memory
is taken, and a compressed file is read to its end so that its checksum is verified.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, InputError, VarregError
from .headers import placed
from .image_file import ImageFile
from .itk_reading import ITK_SUFFIXES, read_itk
from .payload import refuse_long_header, stored_voxels
from .pictures import PICTURE_SUFFIXES, grey_picture, read_picture
from .pixel_sizes import pixel_size
from .slide_files import has_levels, may_be_pyramid, read_level
from .stored import Stored
from .voxels import refuse_kind, refuse_shape

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".mgh", ".mgz")
#: Of all files that are read.
SUFFIXES = VOLUME_SUFFIXES + ITK_SUFFIXES + PICTURE_SUFFIXES


def image_suffix(
    path: Path, *, function: str, argument: str = "path", known: tuple[str, ...] = SUFFIXES
) -> str:
    """Return the known image suffix of a path, lower case.

    Parameters
    ----------
    path : Path
        Only its name is looked at.
    function, argument : str
        Names for the message.
    known : tuple of str
        What is looked for.

    Returns
    -------
    str
        One of `known`.

    Raises
    ------
    FileError
        If the suffix is none of them.

    Examples
    --------
    >>> image_suffix(Path("T1.Nii.GZ"), function="varreg.solve")
    '.nii.gz'
    """
    name = path.name.lower()
    for suffix in sorted(known, key=len, reverse=True):
        if name.endswith(suffix):
            return suffix
    raise FileError(
        f"{function}: `{argument}` is {str(path)!r}, whose type is not known; "
        f"convert it to one of {', '.join(known)}."
    )


def read_path(value: str | os.PathLike[str], *, argument: str, function: str) -> Stored:
    """Read an image file.

    Parameters
    ----------
    value : str, PathLike or ImageFile
        ``.nii .nii.gz .mgh .mgz``, or for 2D ``.png .tif .tiff .jpg .jpeg .bmp``, slides in OME-TIFF and with zarr in OME-Zarr; with SimpleITK ``.mha .mhd .nrrd
        .nhdr .dcm`` and the folder of a DICOM series.
    argument, function : str
        Names for the message.

    Returns
    -------
    Stored
        Colour is turned into luminance; the name is that of the file without its folder.

    Raises
    ------
    FileError
        If the file is absent, empty, of unknown type, or cannot be read for any reason.
    InputError
        If it holds something that is not a 2D or 3D image of real numbers.

    Examples
    --------
    >>> read_path("absent.nii", argument="moving", function="varreg.solve")
    Traceback (most recent call last):
    varreg.errors.FileError: varreg.solve: `moving` is 'absent.nii', which does not exist; ...
    """
    with explained(argument, function, f"{os.fspath(value)!r}"):
        given = value if isinstance(value, ImageFile) else ImageFile(value)
        path = Path(os.fsdecode(value)).expanduser()
        _refuse_absent(path, argument, function)
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
        return _read_spatial(_opened(path), given.header, path.name, argument, function)


def read_pixels(value: str | os.PathLike[str], *, argument: str, function: str) -> Stored:
    """A picture with all its channels, (n, m) or (n, m, channels); see :func:`read_path`."""
    with explained(argument, function, f"{os.fspath(value)!r}"):
        given = value if isinstance(value, ImageFile) else ImageFile(value)
        path = Path(os.fsdecode(value)).expanduser()
        _refuse_absent(path, argument, function)
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
        Whether they are wanted; zeros stand for them otherwise.

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


@contextmanager
def explained(argument: str, function: str, came: str) -> Iterator[None]:
    """Turn whatever a reading library raises into a `FileError` that names the argument."""
    try:
        yield
    except VarregError:
        raise
    except Exception as error:
        raise FileError(
            f"{function}: `{argument}` is {came}, which cannot be read "
            f"({type(error).__name__}: {error}); check that the file is complete and of the type "
            "that its name says."
        ) from error


def _refuse_absent(path: Path, argument: str, function: str) -> None:
    """Say precisely why there is nothing to read."""
    if not path.exists():
        problem = f"does not exist; check the path (working folder: {str(Path.cwd())!r})"
    elif path.is_dir():
        return  # of a DICOM series
    elif not path.is_file():
        problem = "is not a regular file; give an image file"
    elif path.stat().st_size == 0:
        problem = "is empty (0 bytes); copy or download it again"
    else:
        return
    raise FileError(f"{function}: `{argument}` is {str(path)!r}, which {problem}.")


def _opened(path: Path) -> Any:
    """Load a header; the voxels stay in the file."""
    import nibabel
    from nibabel.openers import ImageOpener

    if not path.name.lower().endswith((".mgh", ".mgz")):
        refuse_long_header(path)
        return nibabel.load(path)
    with ImageOpener(str(path)) as stream:  # nibabel's own way leaves the file open
        header = nibabel.MGHImage.header_class.from_fileobj(stream)
    stored = nibabel.MGHImage.ImageArrayProxy(str(path), header)
    return nibabel.MGHImage(stored, header.get_affine(), header)


def _read_flat(path: Path, given: ImageFile, argument: str, function: str) -> Stored:
    """A picture, and the size of its pixels if it is said or stated."""
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
    """A picture as an image."""
    picture = grey_picture(stored.array, function=function)
    notes = stored.notes
    if picture.coloured:
        notes = (*notes, f"`{argument}` is in colour, of which the luminance was taken.")
    return replace(stored, array=picture.pixels, opaque=picture.opaque, notes=notes)


def _read_spatial(
    image: Any, header: str | None, name: str, argument: str, function: str, voxels: bool = True
) -> Stored:
    """Check what the header says before the voxels are touched, then read them."""
    from nibabel.spatialimages import SpatialImage

    if not isinstance(image, SpatialImage):
        raise InputError(
            f"{function}: `{argument}` is a {type(image).__name__}, which is not an image on "
            "a voxel grid; pass a volume, e.g. NIfTI or MGH."
        )
    stored = image.dataobj
    refuse_shape(stored.shape, argument=argument, function=function)
    dtype = np.dtype(getattr(stored, "dtype", image.get_data_dtype()))
    refuse_kind(dtype, argument=argument, function=function, came=type(image).__name__)
    affine, checks, notes = placed(image, header, argument=argument, function=function)
    array = stored_voxels(stored) if voxels else np.broadcast_to(np.float32(0), stored.shape)
    return Stored(array, affine, name, checks=checks, notes=notes)
