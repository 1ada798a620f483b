"""Opening of image files: file types, headers, and conversion of all reading errors to `FileError`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InputError, VarregError
from ..optimise.check import Check
from .headers import placed
from .image_file import ImageFile
from .itk_reading import ITK_SUFFIXES
from .payload import refuse_long_header
from .pictures import PICTURE_SUFFIXES

VOLUME_SUFFIXES = (".nii", ".nii.gz", ".mgh", ".mgz")
#: Suffixes of all readable files.
SUFFIXES = VOLUME_SUFFIXES + ITK_SUFFIXES + PICTURE_SUFFIXES


def image_suffix(
    path: Path, *, function: str, argument: str = "path", known: tuple[str, ...] = SUFFIXES
) -> str:
    """Return the known image suffix of a path, lower case.

    Parameters
    ----------
    path : Path
        Only its name is used.
    function, argument : str
        Names for the message.
    known : tuple of str
        Accepted suffixes.

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


def opened_volume(
    value: Any, *, argument: str, function: str
) -> tuple[Any, NDArray[np.float64] | None, tuple[Check, ...], tuple[str, ...]]:
    """Open a nibabel image or image file, reading only the header, and its affine.

    Parameters
    ----------
    value : str, PathLike, ImageFile or nibabel image
        ``.nii .nii.gz .mgh .mgz``.
    argument, function : str
        Names for the messages.

    Returns
    -------
    image : nibabel image
    affine, checks, notes
        As by :func:`varreg.images.headers.placed`.

    Raises
    ------
    FileError, InputError
        If it is not a volume, or cannot be read.
    """
    received = (
        repr(os.fspath(value)) if hasattr(value, "__fspath__") else f"a {type(value).__name__}"
    )
    with explained(argument, function, repr(value) if isinstance(value, str) else received):
        header = value.header if isinstance(value, ImageFile) else None
        image = value
        if isinstance(value, (str, os.PathLike)):
            path = Path(os.fsdecode(value)).expanduser()
            refuse_absent(path, argument, function)
            image_suffix(path, function=function, argument=argument, known=VOLUME_SUFFIXES)
            image = opened(path)
        refuse_no_grid(image, argument, function)
        return image, *placed(image, header, argument=argument, function=function)


@contextmanager
def explained(argument: str, function: str, received: str) -> Iterator[None]:
    """Convert any exception of a reading library to a `FileError` that names the argument."""
    try:
        yield
    except VarregError:
        raise
    except Exception as error:
        raise FileError(
            f"{function}: `{argument}` is {received}, which cannot be read "
            f"({type(error).__name__}: {error}); check that the file is complete and of the type "
            "of its extension."
        ) from error


def refuse_absent(path: Path, argument: str, function: str) -> None:
    """Raise a `FileError` with the precise reason if there is nothing to read."""
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


def refuse_no_grid(image: Any, argument: str, function: str) -> None:
    from nibabel.spatialimages import SpatialImage

    if not isinstance(image, SpatialImage):
        raise InputError(
            f"{function}: `{argument}` is a {type(image).__name__}, which is not an image on "
            "a voxel grid; pass a volume, e.g. NIfTI or MGH."
        )


def opened(path: Path) -> Any:
    """Load a header; the voxels stay in the file."""
    import nibabel
    from nibabel.openers import ImageOpener

    if not path.name.lower().endswith((".mgh", ".mgz")):
        refuse_long_header(path)
        return nibabel.load(path)
    with ImageOpener(str(path)) as stream:  # nibabel itself would leave the file open
        header = nibabel.MGHImage.header_class.from_fileobj(stream)
    stored = nibabel.MGHImage.ImageArrayProxy(str(path), header)
    return nibabel.MGHImage(stored, header.get_affine(), header)
