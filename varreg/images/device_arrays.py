"""Arrays of other libraries, on the host or on a GPU: PyTorch, CuPy, JAX, Numba and others that support DLPack.

Such arrays are recognised by the protocols ``__dlpack__`` and ``__cuda_array_interface__``.  Only libraries
that an object already uses are imported, and CuPy for computations on a GPU.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import BackendError, InputError

#: DLPack device types: memory of an NVIDIA GPU, and managed memory shared with the host.
CUDA = (2, 13)
#: DLPack device types: memory of the host, also if pinned for a GPU.
HOST = (1, 3, 11)


def is_on_gpu(value: Any) -> bool:
    """Whether the value is an array on an NVIDIA GPU.

    >>> is_on_gpu(np.eye(3)), is_on_gpu("t1.nii.gz")
    (False, False)
    """
    place = _place(value)
    return hasattr(value, "__cuda_array_interface__") if place is None else place[0] in CUDA


def brought_to_host(value: Any) -> Any:
    """An object that :func:`numpy.asarray` accepts in place of an array of another library.

    Arrays in host memory are not copied but detached from the gradient; arrays on a device are copied.

    Parameters
    ----------
    value : Any

    Returns
    -------
    object
        `value` itself if it is not an array of another library.

    Examples
    --------
    >>> brought_to_host([1, 2])
    [1, 2]
    """
    place = None if isinstance(value, np.ndarray) else _place(value)
    if place is None:
        return value
    if hasattr(value, "detach"):
        value = value.detach()
    if place[0] not in HOST:
        for copy in ("cpu", "get"):  # PyTorch, CuPy
            if hasattr(value, copy):
                return getattr(value, copy)()
    if hasattr(value, "__array__"):
        return value
    return np.from_dlpack(value) if place[0] in HOST else np.from_dlpack(value, device="cpu")


def device_array(value: Any, *, argument: str, function: str) -> Any:
    """CuPy view of an array on a GPU, which becomes the current device of this thread.

    Parameters
    ----------
    value : array
        For which :func:`is_on_gpu` holds.
    argument, function : str
        Names for the messages.

    Returns
    -------
    cupy.ndarray

    Raises
    ------
    BackendError
        If CuPy, which is required for computations on a GPU, is not installed.
    InputError
        If the library does not export its memory.
    """
    selection = importlib.import_module("varreg.backends.cupy.selection")
    place = _place(value)
    try:
        kernels = selection.device_backend(0 if place is None else int(place[1]))
    except selection.DeviceUnavailable as reason:
        raise BackendError(
            f"{function}: `{argument}` is on a GPU and would be computed there, but {reason} Or pass a copy of it that is "
            f"on the host: {argument}.cpu() of PyTorch, cupy.asnumpy({argument})."
        ) from reason
    kernels.use()
    if hasattr(value, "detach"):
        value = value.detach()
    try:
        found = kernels.cupy.asarray(value) if place is None else kernels.cupy.from_dlpack(value)
    except Exception as error:  # any exception of the other library
        raise InputError(
            f"{function}: `{argument}` is a {type(value).__name__} on a GPU whose memory cannot be taken over: {error}"
        ) from error
    if place is None:
        selection.device_backend(found.device.id).use()
    return found


def as_came(array: Any, value: Any) -> Any:
    """Convert a result to the library of the input array; arrays on a GPU are passed by DLPack, without a copy.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
    value : Any
        The input.

    Returns
    -------
    array
        `array` itself if `value` is a NumPy array, or if its library does not accept the result.
    """
    if isinstance(array, np.ndarray) or isinstance(value, type(array)):
        return array
    if hasattr(value, "__array_namespace__"):
        return value.__array_namespace__().from_dlpack(array)
    for kind in type(value).__mro__:
        take = getattr(sys.modules.get(kind.__module__.split(".")[0]), "from_dlpack", None)
        if take is not None:
            return take(array)
    return array


def _place(value: Any) -> tuple[int, int] | None:
    """DLPack device (type, index); None for objects without DLPack."""
    with suppress(Exception):  # some objects raise, such as tensors without storage
        kind, number = value.__dlpack_device__()
        return int(kind), int(number)
    return None
