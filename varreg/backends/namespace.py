"""What of SciPy goes with an array: functions of NumPy find those of a device by themselves, SciPy's do not."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np

#: What stands for "on the host" where a function asks for an array that is where its answer is to be.
HOST = np.empty(0)


def kernels_for(array: Any) -> Any:
    """The compiled backend of where an array is: Numba's, or that of its device."""
    if isinstance(array, np.ndarray):
        return importlib.import_module("varreg.backends.numba.backend")
    selection = importlib.import_module("varreg.backends.cupy.selection")
    return selection.device_backend(array.device.id)


def scipy_for(array: Any, name: str) -> ModuleType:
    """The part of SciPy of this name for an array of NumPy, that of CuPy for one on a device."""
    host = isinstance(array, np.ndarray)
    return importlib.import_module(f"{'scipy' if host else 'cupyx.scipy'}.{name}")


def beside(array: Any, other: Any) -> Any:
    """An array where another one is: one of NumPy copied there, one that is there already as it is."""
    return (
        array if isinstance(other, np.ndarray) else importlib.import_module("cupy").asarray(array)
    )


def empty(shape: tuple[int, ...], dtype: Any, like: Any) -> Any:
    """An array of any content where another one is."""
    if isinstance(like, np.ndarray):
        return np.empty(shape, dtype)
    return importlib.import_module("cupy").empty(shape, dtype)


def on_host(array: Any) -> Any:
    """An array of NumPy as it is, one on a device copied."""
    return array if isinstance(array, np.ndarray) else array.get()


def contiguous(array: Any, dtype: Any = None) -> Any:
    """The array where it is, in rows and in a precision; copied only if it is not."""
    if isinstance(array, np.ndarray):
        return np.ascontiguousarray(array, dtype=dtype)
    return array.astype(array.dtype if dtype is None else dtype, order="C", copy=False)


def quotient(numerator: Any, denominator: Any, where: Any) -> Any:
    """numerator / denominator, 0 elsewhere than `where`; on a device functions have no such argument.

    Examples
    --------
    >>> quotient(1.0, np.array([0.0, 2.0]), np.array([False, True])).tolist()
    [0.0, 0.5]
    """
    if isinstance(denominator, np.ndarray):
        return np.divide(numerator, denominator, out=np.zeros_like(denominator), where=where)
    divisor = np.where(where, denominator, np.ones_like(denominator))
    return np.where(where, numerator / divisor, np.zeros_like(denominator))
