"""Atomic writing of images and JSON, and reading of JSON."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FileError, InputError
from .atomic import atomic_folder, atomic_path, free_folder
from .destination import usable_path

if TYPE_CHECKING:
    from ..images.writable import Writable

__all__ = [
    "atomic_folder",
    "atomic_path",
    "free_folder",
    "read_json",
    "write_image",
    "write_json",
    "write_pixels",
]


def read_json(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a JSON object from a file.

    Parameters
    ----------
    path : str or PathLike
        A file whose top level is an object.

    Returns
    -------
    dict

    Raises
    ------
    FileError
        If the file cannot be read, is damaged, or does not hold an object.

    Examples
    --------
    >>> read_json("absent.json")
    Traceback (most recent call last):
    varreg.errors.FileError: varreg.read_json: 'absent.json' cannot be read (...
    """
    path = usable_path(path, "varreg.read_json")
    try:
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_number)
    except (OSError, ValueError, RecursionError) as error:
        raise FileError(
            f"varreg.read_json: {os.fspath(path)!r} cannot be read ({error}); check the path and "
            "that the file is complete JSON."
        ) from error
    if not isinstance(content, dict):
        raise FileError(
            f"varreg.read_json: {os.fspath(path)!r} holds a {type(content).__name__} and not an "
            "object {...}; check that it is the file you mean."
        )
    return content


def write_json(
    path: str | os.PathLike[str], content: Mapping[str, Any], *, overwrite: bool = False
) -> None:
    """Write a mapping as sorted, indented JSON.

    NumPy scalars and arrays become numbers and lists, paths become text, and numbers that are not
    finite become null, as JSON cannot represent them.

    Parameters
    ----------
    path : str or PathLike
        File to be created; its folder must exist.
    content : mapping
        Of text, numbers, booleans, None, sequences, mappings, NumPy arrays and paths.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    InputError
        If `content` holds other types.
    FileError
        If the file exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder) / "a.json", {"b": float("nan"), "a": np.float32(1)})
    ...     read_json(Path(folder) / "a.json")
    {'a': 1.0, 'b': None}
    """
    try:
        text = json.dumps(_plain(content), indent=2, sort_keys=True, allow_nan=False)
    except RecursionError:
        raise InputError(
            "varreg.write_json: `content` is nested too deeply, or holds itself; flatten it."
        ) from None
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_image(
    path: str | os.PathLike[str], array: np.ndarray, like: Writable, *, overwrite: bool = False
) -> None:
    """Write an array on the grid of an image.

    Parameters
    ----------
    path : str or PathLike
        ``.nii .nii.gz .mgh .mgz``, or for 2D ``.png .tif .tiff``.
    array : (*S) array
        Scalar values; integer and boolean labels stay integers.  In a PNG, floating-point values are
        scaled to 16-bit grey.
    like : Image
        Defines shape, geometry and stored form.
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    InputError
        If the array does not fit the image or the file type.
    FileError
        If the type is unknown, or the file exists or cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from varreg.images.accepted import Image, as_image
    >>> image = Image.from_array(np.eye(8), spacing=2.0)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder) / "a.nii.gz", image.data, image)
    ...     as_image(Path(folder) / "a.nii.gz", argument="moving").grid.spacing.tolist()
    [2.0, 2.0]
    """
    from ..images.opening import PICTURE_SUFFIXES, VOLUME_SUFFIXES, image_suffix

    function = "varreg.write_image"
    suffix = image_suffix(
        usable_path(path, function), function=function, known=VOLUME_SUFFIXES + PICTURE_SUFFIXES
    )
    values = np.asarray(array)
    if values.shape != like.grid.shape or values.dtype.kind not in "biuf":
        raise InputError(
            f"{function}: `array` must be real numbers of the image's shape {like.grid.shape}; "
            f"got {values.dtype}, shape {values.shape}."
        )
    with atomic_path(path, overwrite=overwrite) as temporary:
        if suffix in (".nii", ".nii.gz"):
            like.to_nifti(values).to_filename(temporary)
        elif suffix in (".mgh", ".mgz"):
            _write_mgh(temporary, values, like)
        else:
            _write_flat(temporary, suffix, values, like, function)


def write_pixels(path: Path, pixels: np.ndarray, like: Writable) -> None:
    """Write the pixels of a picture, (n, m) or (n, m, channels), on the grid of an image.

    Parameters
    ----------
    path : Path
        ``.png .tif .tiff``; an existing file is replaced.
    pixels : array
        Integers unchanged, floating point as in :func:`write_image`.
    like : Image
        Defines the pixel size.
    """
    from ..images.pictures import write_picture

    if path.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise InputError(
            f"varreg.write_pixels: `path` ends in {path.suffix}; write .png or .tif, which are lossless."
        )
    rows, columns = map(float, like.grid.spacing)
    stated = None if (rows, columns) == (1.0, 1.0) else (rows, columns)
    write_picture(path, pixels, stated, function="varreg.write_pixels")


def _write_mgh(path: Path, values: np.ndarray, like: Writable) -> None:
    """Write FreeSurfer's format, which supports fewer data types."""
    import nibabel

    from ..images.nifti import storable

    narrow = storable(values, function="varreg.write_image", mgh=True)
    image = like.to_nifti(narrow)
    shape = (*image.shape, 1)[:3]  # the format has no 2D images
    volume = np.asarray(image.dataobj).reshape(shape)
    nibabel.MGHImage(volume, image.affine).to_filename(path)


def _write_flat(path: Path, suffix: str, values: np.ndarray, like: Writable, function: str) -> None:
    """Write a 2D picture; the only losses are those documented."""
    if values.ndim != 2 or suffix not in (".png", ".tif", ".tiff"):
        raise InputError(
            f"{function}: `path` ends in {suffix} and the image is {values.ndim}D; write NIfTI "
            "(.nii.gz), or for 2D .png or .tif."
        )
    write_pixels(path, values, like)


def _refuse_number(text: str) -> float:
    """Reject NaN and Infinity, which are not JSON."""
    raise ValueError(f"it contains {text}")


def _plain(value: Any) -> Any:
    """Convert a value to JSON types, recursively."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise InputError(
        f"varreg.write_json: `content` holds a {type(value).__name__}, which JSON has no form for; "
        "convert it to numbers, text, lists or dicts."
    )
