"""Validation of the voxels of an image, from any source."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.namespace import contiguous
from ..errors import InputError
from .device_arrays import brought_to_host

_FEWEST = 4  # voxels along an axis; with fewer there are no second differences inside


def real_array(value: Any, *, argument: str, function: str) -> np.ndarray:
    """Return an array-like of real numbers as an array.

    Parameters
    ----------
    value : array-like
        Anything that `numpy.asarray` accepts, and arrays of other libraries; those on a GPU are copied
        (:mod:`varreg.images.device_arrays`): bool, integer or floating point.
    argument, function : str
        Names for the message.

    Returns
    -------
    ndarray
        Shares memory with `value` where NumPy can; includes hidden values of a masked array (:func:`shown_values`).

    Raises
    ------
    InputError
        If it cannot be converted to an array, or if the numbers are not real.

    Examples
    --------
    >>> real_array([[1, 2]], argument="moving", function="varreg.solve").shape
    (1, 2)
    """
    try:
        array = np.asarray(brought_to_host(value))
    except Exception as error:  # __array__ of another library may raise anything
        raise InputError(
            f"{function}: `{argument}` cannot be made an array ({type(value).__name__}: {error}); "
            "pass an array of numbers, a nibabel image or a path."
        ) from error
    refuse_kind(array.dtype, argument=argument, function=function, received=type(value).__name__)
    return array


def shown_values(value: Any) -> np.ndarray | None:
    """Mask of the values that a masked array does not hide, (*S) bool; None if it hides none, or is no masked array."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return ~np.ma.getmaskarray(value)
    return None


def refuse_kind(dtype: np.dtype[Any], *, argument: str, function: str, received: str) -> None:
    """Raise unless a dtype is bool, integer or floating point.

    Parameters
    ----------
    dtype : numpy.dtype
        Data type of the voxels.
    argument, function, received : str
        Names for the message; `received` describes the input.

    Raises
    ------
    InputError
        For complex numbers, text, objects, dates and structured types (colour NIfTI).

    Examples
    --------
    >>> refuse_kind(np.dtype("int16"), argument="moving", function="varreg.solve", received="list")
    """
    if dtype.kind in "biuf":
        return
    remedy = {
        "c": "pass its magnitude, numpy.abs(...)",
        "V": "pass one channel or the luminance",
    }.get(dtype.kind, "pass an array of numbers, a nibabel image or a path")
    raise InputError(
        f"{function}: `{argument}` must hold real numbers; got {received} of dtype {dtype}; {remedy}."
    )


def refuse_shape(shape: tuple[int, ...], *, argument: str, function: str) -> None:
    """Raise unless a shape is a 2D image, a 3D image, or a 3D image with one singleton axis.

    A fourth axis of length 1, the time axis of many NIfTI files, is accepted.

    Parameters
    ----------
    shape : tuple of int
        As stored.
    argument, function : str
        Names for the message.

    Raises
    ------
    InputError
        If the image is empty, has another number of axes, or fewer than 4 voxels along one.

    Examples
    --------
    >>> refuse_shape((8, 8, 1, 1), argument="moving", function="varreg.solve")
    """
    space = shape[:3] if len(shape) == 4 and shape[3] == 1 else shape
    if 0 in shape:
        problem = "is empty; check how it was read or cropped"
    elif len(space) > 3:
        problem = "must have 2 or 3 axes in space; take one volume, e.g. array[..., 0]"
    elif len(space) < 2:
        problem = "must have 2 or 3 axes; pass an array of image shape"
    elif len(space) == 3 and space[-1] in (2, 3) and min(space[:2]) >= _FEWEST:
        problem = "looks like colour channels; pass the luminance, e.g. array.mean(axis=-1)"
    elif min(kept := [n for n in space if n > 1] or [1]) < _FEWEST or len(kept) < 2:
        problem = f"needs at least {_FEWEST} voxels along each axis"
    else:
        return
    raise InputError(f"{function}: `{argument}` has shape {shape}; it {problem}.")


def as_float32(array: np.ndarray, *, argument: str, function: str) -> np.ndarray:
    """Return finite voxels as a native, C-contiguous float32 array, on the same device.

    Parameters
    ----------
    array : ndarray
        Real numbers, not empty.
    argument, function : str
        Names for the message.

    Returns
    -------
    float32 array
        `array` itself if it already is one.

    Raises
    ------
    InputError
        If a value is NaN, infinite or too large for float32.

    Examples
    --------
    >>> as_float32(np.eye(4), argument="moving", function="varreg.solve").dtype
    dtype('float32')
    """
    with np.errstate(all="ignore"):
        result: np.ndarray = contiguous(array, np.float32)
        low, high = float(result.min()), float(result.max())
        # NaN and infinity propagate through min and max, so that no mask of the whole image is needed.
        if high - low <= float(np.finfo(np.float32).max):
            return result
        wrong = ~np.isfinite(array)
    name = f"{function}: `{argument}`"
    if not wrong.any():
        raise InputError(
            f"{name} has values from {float(array.min()):g} to {float(array.max()):g}, a range that float32 "
            f"does not hold; scale it down, e.g. {argument} / abs({argument}).max()."
        )
    first = tuple(int(index[0]) for index in np.nonzero(wrong))
    raise InputError(
        f"{name} has {int(wrong.sum())} voxels that are NaN or infinite (first at index {first}); "
        "give finite numbers."
    )


def refuse_constant(data: np.ndarray, *, argument: str, function: str) -> None:
    """Raise if every voxel has the same value.

    Parameters
    ----------
    data : float32 array
        Voxels.
    argument, function : str
        Names for the message.

    Raises
    ------
    InputError
        If the image is constant.

    Examples
    --------
    >>> refuse_constant(np.eye(4), argument="moving", function="varreg.solve")
    """
    if data.min() == data.max():
        raise InputError(
            f"{function}: `{argument}` is constant (every voxel is {float(data.flat[0]):g}), so "
            "there is nothing to align; check that it is the correct image."
        )
