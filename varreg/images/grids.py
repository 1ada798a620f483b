"""The grids that a transform is between, taken from images, files or grids."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ..errors import GeometryError, InputError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from . import slices
from .image import Image, place
from .voxels import real_array, refuse_shape

_STEEPEST = 5.0  # degrees between two slices that still count as parallel


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
    names = {"argument": argument, "function": function}
    if isinstance(value, Grid):
        return Image(np.zeros(value.shape, np.float32), value)
    if isinstance(value, Image):
        return value
    affine, name = None, ""
    if isinstance(value, (str, os.PathLike)):
        from .reading import read_path

        array, affine, name = read_path(value, **names)
    elif hasattr(value, "dataobj"):  # nibabel is not imported to find that out
        array, affine = np.broadcast_to(np.float32(0), value.shape), value.affine
    else:
        array = real_array(value, **names)
    refuse_shape(array.shape, **names)
    return place(np.zeros(array.shape, np.float32), affine, name, **names)


def grid_pair(fixed: Any, moving: Any, function: str) -> tuple[Grid, Grid, Float | None]:
    """The grids of two images, and the frame that both are in if they are slices of volumes.

    Parameters
    ----------
    fixed, moving : see `geometry`
        Both 2D or both 3D.
    function : str
        Name for the messages.

    Returns
    -------
    fixed, moving : Grid
    frame : (4, 4) array or None
        As in :class:`varreg.Transform`.

    Raises
    ------
    InputError, GeometryError, FileError
        As `geometry`; or if the dimensions differ or slices are not parallel.

    Examples
    --------
    >>> grid_pair(np.ones((8, 9)), np.ones((8, 8)), "varreg.read_transform")[2] is None
    True
    """
    for name, value in (("fixed", fixed), ("moving", moving)):
        if value is None:
            raise InputError(
                f"{function}: `{name}` is missing; give the image (a path, an array, a Grid) that the "
                "transform was made for (command line: --fixed and --moving)."
            )
    target = geometry(fixed, "fixed", function)
    source = geometry(moving, "moving", function)
    if target.grid.dim != source.grid.dim:
        raise InputError(
            f"{function}: `fixed` is {target.grid.dim}D and `moving` is {source.grid.dim}D; both must "
            "be 2D or both 3D."
        )
    if target.frame is None or source.frame is None:
        return target.grid, source.grid, None
    angle = slices.angle_between(source.frame, target.frame)
    if angle > _STEEPEST:
        raise GeometryError(
            f"{function}: `fixed` and `moving` are slices whose planes are {angle:.1f} degrees apart "
            f"(at most {_STEEPEST:g}); pass arrays without geometry if they do correspond."
        )
    plane, _ = slices.project(source.grid.affine, source.frame, source.grid.shape, target.frame)
    same = np.array_equal(source.frame[:3, :3], target.frame[:3, :3])
    return target.grid, source.grid if same else Grid(source.grid.shape, plane), target.frame
