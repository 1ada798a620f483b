"""The one loader of everything that is accepted as an image."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import Grid
from .image import Image, image_of
from .reading import read_nibabel, read_path
from .voxels import as_float32, real_array, refuse_shape


def stored(
    value: Any, *, argument: str, function: str, voxels: bool = True
) -> tuple[NDArray[Any], NDArray[Any] | None, str]:
    """The voxels of an image as stored, and where they are.

    Parameters
    ----------
    value : array-like, nibabel image, str or PathLike
    argument, function : str
        Names for the messages.
    voxels : bool
        Whether the voxels of a nibabel image are wanted; zeros stand for them otherwise.

    Returns
    -------
    array : ndarray
        Real numbers, in a shape that :func:`varreg.images.voxels.refuse_shape` lets through.
    affine : array or None
        Voxel -> world (mm), if the image came with one.
    name : str
        File name, or "".

    Raises
    ------
    InputError, FileError
        If it is no image, or cannot be read.

    Examples
    --------
    >>> stored(np.eye(8), argument="moving", function="varreg.solve")[0].shape
    (8, 8)
    """
    names = {"argument": argument, "function": function}
    affine, name = None, ""
    if isinstance(value, (str, os.PathLike)):
        array, affine, name = read_path(value, **names)
    elif hasattr(value, "dataobj"):  # nibabel is not imported to find that out
        name = Path(value.get_filename() or "").name if hasattr(value, "get_filename") else ""
        if voxels:
            array, affine = read_nibabel(value, **names)
        else:
            array, affine = np.broadcast_to(np.float32(0), value.shape), value.affine
    else:
        array = real_array(value, **names)
    refuse_shape(array.shape, **names)
    return array, affine, name


def loaded(value: Any, *, argument: str, function: str) -> tuple[Image, bool]:
    """Any kind of image as an :class:`Image`, and whether it came with a place in space.

    Parameters, exceptions as in :func:`stored`; besides, voxels must be finite.

    Examples
    --------
    >>> loaded(np.eye(8), argument="moving", function="varreg.solve")[1]
    False
    """
    names = {"argument": argument, "function": function}
    if isinstance(value, Image):
        refuse_shape(value.data.shape, **names)
        as_float32(value.data, **names)  # an Image made by hand may hold anything
        return value, True
    array, affine, name = stored(value, argument=argument, function=function)
    return image_of(array, affine, name, **names), affine is not None


def geometry(value: Any, argument: str, function: str) -> Image:
    """An empty image where an image is; its voxels are not looked at.

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
        If it is no image, has no place in space, or cannot be read.

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
    array, affine, name = stored(value, argument=argument, function=function, voxels=False)
    return image_of(np.zeros(array.shape, np.float32), affine, name, **names)
