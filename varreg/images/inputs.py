"""Images, label maps and points that a transform is applied to."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError, InputError
from ..geometry.displacement import Float
from ..geometry.grid import Grid
from .device_arrays import device_array, is_on_gpu
from .foreign import is_foreign
from .frames import in_frame
from .image import Image, image_of
from .loading import stored, warn_of
from .no_data import filled
from .voxels import real_array, refuse_kind, refuse_shape

#: Distance of points from an image, in multiples of its extent, above which a warning is given.
FAR = 1.0


def image_on(
    grid: Grid, frame: Float | None, value: Any, function: str, exact: bool = False
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, Grid]:
    """The voxels of an image and their grid; unlike for registration, they may be constant.

    Parameters
    ----------
    grid : Grid
        Assumed grid of an array without geometry.
    frame : (4, 4) array or None
        For 2D slices: the in-plane world of the grid, in which a slice of a volume is expressed.
    value : array, nibabel image, varreg Image or path
        The argument `image` of the caller.
    function : str
        Name of the caller for the message.
    exact : bool
        Whether integers keep their type: float32 cannot represent all integers above 2^24.

    Returns
    -------
    data : (*T) float32 array
        Or of the original integer type; a CuPy array if the image is an array on a GPU.
    valid : (*T) bool array or None
        Voxels that hold data; see :func:`varreg.images.no_data.filled`.
    grid : Grid
        Of the image itself, or `grid` for a plain array or a picture.

    Raises
    ------
    InputError
        If it is not an image, or an array of another shape than the grid.
    GeometryError
        If it is not in the plane of the grid, or the dimensions differ.
    FileError
        If its file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> image_on(Grid.with_spacing((4, 5)), None, np.ones((4, 5)), "warp")[2].shape
    (4, 5)
    """
    array, opaque, where = _read(grid, frame, value, "image", function)
    if exact and opaque is None and array.dtype.kind in "iu":
        return array, None, where
    return *filled(array, opaque, argument="image", function=function), where


def labels_on(
    grid: Grid, frame: Float | None, value: Any, function: str
) -> tuple[NDArray[Any], Grid]:
    """The voxels of a label map, of an integer or bool type, and their grid.

    Parameters, exceptions and geometry as in :func:`image_on`; in addition, values must be integers.
    Integers keep their type (float32 would merge labels above 2^24), integer-valued floating-point numbers
    become int32, and voxels without data become 0.
    """
    array, opaque, where = _read(grid, frame, value, "labels", function)
    if opaque is not None:
        array = np.where(opaque, array, array.dtype.type(0))
    if array.dtype.kind in "biu":
        return array, where
    array = _without_nan(array)
    limits = np.iinfo(np.int32)
    with np.errstate(invalid="ignore"):
        good = (array == np.rint(array)) & (array >= limits.min) & (array <= limits.max)
    if not good.all():
        raise InputError(
            f"{function}: `labels` must hold whole numbers of 32 bits; got e.g. "
            f"{array[~good].ravel()[0].item()}. Warp intensities with warp()."
        )
    return array.astype(np.int32), where


def _without_nan(array: NDArray[Any]) -> NDArray[Any]:
    """Replace NaN by 0 in a label map of floating-point numbers, with a warning."""
    absent = np.isnan(array)
    if not absent.any():
        return array
    warnings.warn(
        f"{int(absent.sum())} voxels of `labels` are NaN: taken as 0, no label.", stacklevel=5
    )
    return np.where(absent, array.dtype.type(0), array)


def point_rows(points: Any, dim: int, function: str) -> NDArray[np.float64]:
    """Points as (n, d) float64 rows; refuses another shape, NaN and infinity."""
    array = real_array(points, argument="points", function=function).astype(np.float64)
    if array.ndim not in (1, 2) or array.shape[-1] != dim:
        raise InputError(
            f"{function}: `points` must have shape (n, {dim}) or ({dim},), one point a row; "
            f"got {array.shape}."
        )
    if not np.isfinite(array).all():
        raise InputError(f"{function}: `points` holds NaN or infinity; drop those rows.")
    return array.reshape(-1, dim)


def warn_of_points(voxels: NDArray[np.float64], grid: Grid, side: str, function: str) -> None:
    """Warn about points far outside an image, where the map is extrapolated: they may be given in another space.

    Parameters
    ----------
    voxels : (d, n) array
        In voxels of the image's array.
    grid : Grid
    side : {"fixed", "moving"}
        For the message.
    function : str
        Calling function, for the message.
    """
    size = np.array(grid.shape, np.float64)[:, None]
    beyond = np.maximum(-0.5 - voxels, voxels - size + 0.5)
    far = np.any(beyond > FAR * size, axis=0)
    if not far.any():
        return
    most = float((beyond * grid.spacing[:, None]).max())
    warnings.warn(
        f"{function}: {int(far.sum())} of {len(far)} points lie up to {most:.4g} mm outside the {side} image, where the "
        "map is extrapolated; check their space (world: RAS+ mm, not LPS+; or voxel).",
        stacklevel=3,
    )


def _read(
    grid: Grid, frame: Float | None, value: Any, argument: str, function: str
) -> tuple[NDArray[Any], NDArray[np.bool_] | None, Grid]:
    """The voxels as stored, the mask of those with data, and the grid that they lie on."""
    names = {"argument": argument, "function": function}
    if isinstance(value, Image):
        array, opaque, image = value.data, value.valid, value
        refuse_shape(array.shape, **names)
    elif is_on_gpu(value) and not is_foreign(value):
        found = device_array(value, **names)
        refuse_kind(found.dtype, **names, received=type(value).__name__)
        refuse_shape(found.shape, **names)
        return _fitted(found, grid, **names), None, grid
    else:
        found = stored(value, argument=argument, function=function)
        warn_of(found.checks, stacklevel=6)
        array, opaque = found.array, found.opaque
        if found.affine is None:
            array = _fitted(array, grid, **names)
            return array, None if opaque is None else opaque.reshape(array.shape), grid
        image = image_of(replace(found, array=_zeros(array.shape), opaque=None), **names)
    if image.grid.dim != grid.dim:
        raise GeometryError(
            f"{function}: `{argument}` is {image.grid.dim}D and the transform {grid.dim}D."
        )
    planes = f"{function}: `{argument}` is a slice whose plane and that of the transform"
    remedy = "pass the array alone if its voxels correspond."
    shape = image.grid.shape
    opaque = None if opaque is None else opaque.reshape(shape)
    return array.reshape(shape), opaque, in_frame(image, frame, planes, remedy).grid


def _zeros(shape: tuple[int, ...]) -> NDArray[Any]:
    """Voxels of an image of which only the geometry is needed."""
    return np.zeros(shape, np.float32)


def _fitted(array: NDArray[Any], grid: Grid, argument: str, function: str) -> NDArray[Any]:
    """The array in the grid's shape; a slice stored as (n, m, 1) fits (n, m)."""
    if tuple(n for n in array.shape if n > 1) != tuple(n for n in grid.shape if n > 1):
        raise InputError(
            f"{function}: `{argument}` has shape {array.shape}, but the transform expects "
            f"{grid.shape}; pass an image with its own header if its grid differs."
        )
    return array.reshape(grid.shape)
