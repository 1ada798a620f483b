"""Loading of all accepted types of images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from ..geometry.grid import Grid
from ..optimise.check import Check
from .foreign import is_foreign, read_foreign
from .image import Image, image_of
from .no_data import filled, no_data_note
from .reading import read_nibabel, read_path
from .stored import Stored
from .voxels import real_array, refuse_kind, refuse_shape, shown_values


def stored(value: Any, *, argument: str, function: str, voxels: bool = True) -> Stored:
    """The voxels of an image as stored, and their geometry.

    Parameters
    ----------
    value : array-like, nibabel image, image object of another library, str or PathLike
    argument, function : str
        Names for the messages.
    voxels : bool
        Whether the voxels of a nibabel image are needed; if not, zeros are returned.

    Returns
    -------
    Stored
        Real numbers, in a shape that :func:`varreg.images.voxels.refuse_shape` accepts.

    Raises
    ------
    InputError, FileError
        If it is not an image, or cannot be read.

    Examples
    --------
    >>> stored(np.eye(8), argument="moving", function="varreg.solve").array.shape
    (8, 8)
    """
    names = {"argument": argument, "function": function}
    if isinstance(value, (str, os.PathLike)):
        found = read_path(value, **names)
    elif hasattr(value, "dataobj"):  # recognised without importing nibabel
        found = read_nibabel(value, **names, voxels=voxels)
    elif is_foreign(value):
        found = read_foreign(value, **names)
        refuse_kind(found.array.dtype, **names, received=type(value).__name__)
    else:
        found = Stored(real_array(value, **names), opaque=shown_values(value))
    refuse_shape(found.array.shape, **names)
    return found


def loaded(value: Any, *, argument: str, function: str) -> tuple[Image, bool]:
    """An accepted image of any type as an :class:`Image`, and whether its geometry was given.

    Parameters and exceptions as in :func:`stored`; in addition, an image must hold data.

    Examples
    --------
    >>> loaded(np.eye(8), argument="moving", function="varreg.solve")[1]
    False
    """
    names = {"argument": argument, "function": function}
    if isinstance(value, Image):
        refuse_shape(value.data.shape, **names)
        return _named(value, argument, function), True
    found = stored(value, argument=argument, function=function)
    return image_of(found, **names), found.affine is not None


def _named(image: Image, argument: str, function: str) -> Image:
    """An image constructed by the user, validated, with checks that name the argument."""
    notes = tuple(note.replace("`array`", f"`{argument}`") for note in image.notes)
    if np.isfinite(image.data).all():
        return image if notes == image.notes else replace(image, notes=notes)
    data, valid = filled(image.data, image.valid, argument=argument, function=function)
    return replace(image, data=data, valid=valid, notes=(*notes, *no_data_note(valid, argument)))


def warn_of(checks: Iterable[Check], stacklevel: int = 5) -> None:
    """Issue failed checks as warnings, where there is no result to hold them."""
    for check in checks:
        warnings.warn(str(check), stacklevel=stacklevel)


def geometry(value: Any, argument: str, function: str) -> Image:
    """An image of zeros with the geometry of `value`, whose voxels are not read.

    Parameters
    ----------
    value : Grid, Image, array, nibabel image or path
    argument, function : str
        Names for the messages.

    Returns
    -------
    Image
        Of zeros, with the grid, frame and stored form of `value`.

    Raises
    ------
    InputError, GeometryError, FileError
        If it is not an image, has no geometry, or cannot be read.

    Examples
    --------
    >>> geometry(np.ones((8, 9)), "fixed", "varreg.read_transform").grid.shape
    (8, 9)
    """
    if isinstance(value, Grid):
        return Image(np.zeros(value.shape, np.float32), value)
    if isinstance(value, Image):
        return value
    names = {"argument": argument, "function": function}
    found = stored(value, **names, voxels=False)
    return image_of(replace(found, array=np.zeros(found.array.shape, np.float32)), **names)
