"""Functions for arrays on the host or on a device: NumPy dispatches by array type, SciPy does not."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

#: Argument for results on the host, in functions whose result is on the device of a given array.
HOST = np.empty(0)


def kernels_for(array: Any) -> Any:
    """Compiled backend for an array: Numba on the host, CUDA on a device."""
    if isinstance(array, np.ndarray):
        return importlib.import_module("varreg.backends.numba.backend")
    selection = importlib.import_module("varreg.backends.cupy.selection")
    return selection.device_backend(array.device.id)


def scipy_for(array: Any, name: str) -> ModuleType:
    """SciPy submodule of a given name for NumPy arrays, the corresponding CuPy submodule for device arrays."""
    host = isinstance(array, np.ndarray)
    return importlib.import_module(f"{'scipy' if host else 'cupyx.scipy'}.{name}")


def beside(array: Any, other: Any) -> Any:
    """Array on the device of another one, copied only if necessary."""
    return (
        array if isinstance(other, np.ndarray) else importlib.import_module("cupy").asarray(array)
    )


def empty(shape: tuple[int, ...], dtype: Any, like: Any) -> Any:
    """Uninitialised array on the device of another one."""
    if isinstance(like, np.ndarray):
        return np.empty(shape, dtype)
    return importlib.import_module("cupy").empty(shape, dtype)


def on_host(array: Any) -> Any:
    """NumPy array, copied from the device if necessary."""
    return array if isinstance(array, np.ndarray) else array.get()


def contiguous(array: Any, dtype: Any = None) -> Any:
    """C-contiguous array of a given precision on the same device, copied only if necessary."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array, dtype=dtype)
    return array.astype(array.dtype if dtype is None else dtype, order="C", copy=False)


def quotient(numerator: Any, denominator: Any, where: Any) -> Any:
    """numerator / denominator inside `where`, 0 elsewhere; CuPy does not support the argument `where`.

    Examples
    --------
    >>> quotient(1.0, np.array([0.0, 2.0]), np.array([False, True])).tolist()
    [0.0, 0.5]
    """
    if isinstance(denominator, np.ndarray):
        return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=where)
    divisor = np.where(where, denominator, np.ones_like(denominator))
    return np.where(where, numerator / divisor, np.zeros_like(denominator))
