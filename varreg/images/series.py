"""Validation of image series (4D)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FileError, InputError, VarregError
from ..geometry.grid import Grid
from ..optimise.check import Check
from .foreign import is_foreign
from .image import Image
from .opening import VOLUME_SUFFIXES, opened_volume
from .payload import refuse_claim
from .volumes import Volumes
from .voxels import real_array, refuse_kind, refuse_shape


def is_series(value: Any) -> bool:
    """Whether the value has four axes, the last with more than one entry; its voxels are not read.

    Examples
    --------
    >>> is_series(np.zeros((4, 4, 4, 2))), is_series(np.zeros((4, 4, 4))), is_series("absent.png")
    (True, False, False)
    """
    if isinstance(value, (Volumes, Image)):
        return isinstance(value, Volumes)
    if isinstance(value, (str, os.PathLike)):
        if not os.fsdecode(value).lower().endswith(VOLUME_SUFFIXES):
            return False
        try:
            value = opened_volume(value, argument="series", function="varreg")[0]
        except VarregError:
            return False  # reading will raise with the reason
    shape = getattr(value, "shape", ())
    return isinstance(shape, tuple) and len(shape) == 4 and shape[3] > 1


def as_volumes(value: Any, *, argument: str, function: str) -> Volumes:
    """Convert anything that is an image series.

    Parameters
    ----------
    value : Volumes, path, nibabel image or array (x, y, z, n)
        ``.nii .nii.gz .mgh .mgz``; an array has voxels of 1 mm.
    argument, function : str
        Names for the messages.

    Raises
    ------
    InputError, GeometryError, FileError
        If it is not a series of volumes of real numbers, or cannot be read.

    Examples
    --------
    >>> as_volumes(np.zeros((4, 5, 6, 2)), argument="series", function="varreg.align_series").count
    2
    """
    names = {"argument": argument, "function": function}
    if isinstance(value, Volumes):
        return value
    if is_foreign(value):
        raise InputError(
            f"{function}: `{argument}` is a {type(value).__name__}; give the path of a NIfTI file, a nibabel image or "
            "an array (x, y, z, n)."
        )
    affine, name, step = None, "", 0.0
    checks, notes = tuple[Check, ...](), tuple[str, ...]()
    if isinstance(value, (str, os.PathLike)) or hasattr(value, "dataobj"):
        image, affine, checks, notes = opened_volume(value, **names)
        stored, name, step = image.dataobj, Path(image.get_filename() or "").name, _step(image)
        dtype = np.dtype(getattr(stored, "dtype", image.get_data_dtype()))
        refuse_kind(dtype, **names, received=type(image).__name__)
    else:
        stored = real_array(value, **names)
    shape = _checked(tuple(int(n) for n in stored.shape), **names)
    _refuse_truncated(stored, **names)
    grid = Grid.with_spacing(shape[:3]) if affine is None else Grid(shape[:3], affine)
    placed = affine is not None
    return Volumes(stored, grid, shape[3], name, step, checks, notes, **names, placed=placed)


def _checked(shape: tuple[int, ...], argument: str, function: str) -> tuple[int, ...]:
    """The validated shape of an image series."""
    if len(shape) != 4:
        remedy = (
            "one volume is registered by varreg.solve and warped by Transform.warp"
            if len(shape) == 3
            else "give an array (x, y, z, n)"
        )
        raise InputError(
            f"{function}: `{argument}` has shape {shape}, and a series has 4 axes, the last one for the "
            f"volumes; {remedy}."
        )
    if 1 in shape[:3]:
        raise InputError(
            f"{function}: `{argument}` has shape {shape}: volumes of one slice, whose motion in space cannot be "
            "determined; register slices one by one with varreg.solve."
        )
    refuse_shape(shape[:3] if 0 not in shape else shape, argument=argument, function=function)
    return shape


def _refuse_truncated(stored: Any, argument: str, function: str) -> None:
    """Compare the header with the size of the file before any computation."""
    source = getattr(stored, "file_like", None)
    if not (hasattr(stored, "get_unscaled") and isinstance(source, (str, os.PathLike))):
        return
    try:
        refuse_claim(stored, Path(source))
    except (ValueError, OSError) as error:
        raise FileError(
            f"{function}: `{argument}` is {os.fsdecode(source)!r}, which cannot be read ({error})."
        ) from error


def _step(image: Any) -> float:
    """Repetition time in seconds from the header; 0 if it is not stated."""
    try:
        unit = image.header.get_xyzt_units()[1]
        length = float(image.header.get_zooms()[3])
    except (AttributeError, KeyError, IndexError):
        return 0.0
    factor = {"msec": 1e-3, "usec": 1e-6}.get(unit, 1.0)
    return length * factor if np.isfinite(length) and length > 0 else 0.0
