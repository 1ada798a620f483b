"""Image objects of other libraries: conversion of voxels and affine in both directions.

ITK, SimpleITK and ANTsPy use LPS+ world coordinates and voxel axes x, y, z; the arrays exported by ITK and
SimpleITK have their axes in reverse order.  MONAI and TorchIO use RAS+ with a leading channel axis.  Only
libraries that an object already uses are imported.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .device_arrays import brought_to_host
from .stored import Stored

Float = NDArray[np.float64]


def is_foreign(value: Any) -> bool:
    """Whether the value is an image object of another library that carries its geometry.

    >>> is_foreign(np.eye(3))
    False
    """
    return _is_itk(value) or _is_ants(value) or _is_tensor(value)


def read_foreign(value: Any, *, argument: str, function: str) -> Stored:
    """Voxels of an image object, with axes x, y, z, and its affine in RAS+.

    Parameters
    ----------
    value : itk.Image, SimpleITK.Image, ANTsImage, or an array-like with an ``affine`` (MONAI, TorchIO)
    argument, function : str
        Names for the messages.

    Returns
    -------
    Stored

    Raises
    ------
    InputError
        If it has several components or channels, or is not on a regular grid.
    """
    names = {"argument": argument, "function": function}
    if _is_itk(value):
        _refuse_components(int(value.GetNumberOfComponentsPerPixel()), value, **names)
        affine = _ras(value.GetDirection(), value.GetSpacing(), value.GetOrigin())
        return Stored(np.ascontiguousarray(_itk_array(value).T), affine)
    if _is_ants(value):
        _refuse_components(int(getattr(value, "components", 1)), value, **names)
        return Stored(np.asarray(value.numpy()), _ras(value.direction, value.spacing, value.origin))
    return _tensor(value, argument, function)


def like(voxels: NDArray[Any], affine: Float, other: Any) -> Any:
    """Convert voxels and an affine to an image object of the class of `other`.

    Parameters
    ----------
    voxels : (*S) array
    affine : (d + 1, d + 1) array
        Voxel -> world (RAS+ mm).
    other : any object that :func:`read_foreign` accepts
        Only its class, and whether it has a leading channel axis, are used.

    Returns
    -------
    object
    """
    if _is_tensor(other):
        channel = getattr(other, "ndim", 0) == voxels.ndim + 1 or not hasattr(other, "__array__")
        return _new_tensor(voxels[None] if channel else voxels, affine, other)
    direction, spacing, origin = _lps(affine)
    module = _module(other)
    if _is_ants(other):
        given = {"origin": origin, "spacing": spacing, "direction": direction}
        return module.from_numpy(np.ascontiguousarray(voxels), **given)
    reversed_axes = np.ascontiguousarray(voxels.T)
    if hasattr(module, "GetImageFromArray") and type(other).__module__.startswith("SimpleITK"):
        image = module.GetImageFromArray(reversed_axes)
        image.SetDirection(direction.ravel().tolist())
    else:
        image = module.image_from_array(reversed_axes)
        image.SetDirection(module.matrix_from_array(direction))
    image.SetSpacing(spacing)
    image.SetOrigin(origin)
    return image


def _is_itk(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("GetSpacing", "GetOrigin", "GetDirection"))


def _is_ants(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("spacing", "origin", "direction", "numpy"))


def _is_tensor(value: Any) -> bool:
    """Whether the value is an array with an affine (MONAI), or holds one (TorchIO); not of nibabel or varreg."""
    ours = type(value).__module__.split(".")[0] in ("varreg", "learned")
    return hasattr(value, "affine") and not hasattr(value, "dataobj") and not ours


def _module(value: Any) -> Any:
    """The library of an object, which is already imported."""
    return importlib.import_module(type(value).__module__.split(".")[0])


def _itk_array(value: Any) -> NDArray[Any]:
    """Array with axes z, y, x."""
    module = _module(value)
    view = getattr(module, "GetArrayViewFromImage", None) or module.array_view_from_image
    return np.asarray(view(value))


def _refuse_components(count: int, value: Any, argument: str, function: str) -> None:
    if count != 1:
        raise InputError(
            f"{function}: `{argument}` is a {type(value).__name__} with {count} components a voxel; pass one of them, or "
            "the luminance."
        )


def _ras(direction: Any, spacing: Any, origin: Any) -> Float:
    """Voxel -> RAS+ world affine from direction, spacing and origin in LPS+."""
    sizes = np.array(list(spacing), np.float64)
    d = len(sizes)
    affine = np.eye(d + 1)
    affine[:-1, :-1] = np.asarray(direction, np.float64).reshape(d, d) * sizes
    affine[:-1, -1] = list(origin)
    affine[:2] *= -1
    return affine


def _lps(affine: Float) -> tuple[Float, list[float], list[float]]:
    """Direction, spacing and origin in LPS+ of a voxel -> RAS+ world affine."""
    flipped = np.array(affine, np.float64)
    flipped[:2] *= -1
    spacing = np.linalg.norm(flipped[:-1, :-1], axis=0)
    return flipped[:-1, :-1] / spacing, spacing.tolist(), flipped[:-1, -1].tolist()


def _array(value: Any) -> NDArray[Any]:
    """The array of a tensor on any device."""
    return np.asarray(brought_to_host(value if hasattr(value, "__array__") else value.data))


def _tensor(value: Any, argument: str, function: str) -> Stored:
    """Array with an affine; a leading channel axis is removed."""
    array, affine = _array(value), np.array(brought_to_host(value.affine), np.float64)
    d = len(affine) - 1
    if affine.shape != (d + 1, d + 1) or d not in (2, 3):
        raise InputError(
            f"{function}: `{argument}` has an affine of shape {affine.shape}; it must be 3 x 3 or 4 x 4."
        )
    if str(getattr(value, "meta", {}).get("space", "RAS")).upper().endswith("LPS"):
        affine[:2] *= -1
    if array.ndim == d + 1 or (array.ndim == d == 3 and array.shape[0] == 1):
        if array.shape[0] != 1:
            raise InputError(
                f"{function}: `{argument}` has {array.shape[0]} channels (shape {array.shape}); pass one of them."
            )
        array = array[0]
    if array.ndim == 2 and d == 3:  # a slice
        array = array[..., None]
    return Stored(array, affine)


def _new_tensor(voxels: NDArray[Any], affine: Float, other: Any) -> Any:
    """Construct an image of the class of `other`; TorchIO images take the array by keyword."""
    kind = type(other)
    voxels, affine = np.array(voxels), np.array(affine)  # tensors require writable memory
    if hasattr(other, "__array__"):
        return kind(voxels, affine=affine)
    tensor = type(other.data)  # torch.Tensor
    module = importlib.import_module(tensor.__module__)
    return kind(tensor=module.from_numpy(voxels), affine=affine)
