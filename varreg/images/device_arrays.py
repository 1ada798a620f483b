"""Arrays of other libraries, on the host or on a GPU: PyTorch, CuPy, JAX, Numba, whatever speaks DLPack.

They are told by the protocols ``__dlpack__`` and ``__cuda_array_interface__``.  No library is imported that an object does
not bring, but CuPy for what is computed on a GPU.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import suppress
from typing import Any

import numpy as np

from ..errors import BackendError, InputError

#: Of DLPack: memory of a NVIDIA GPU, and memory that it shares with the host.
CUDA = (2, 13)
#: Of DLPack: memory of the host, also what a GPU reads there.
HOST = (1, 3, 11)


def is_on_gpu(value: Any) -> bool:
    """Whether it is an array on a NVIDIA GPU.

    >>> is_on_gpu(np.eye(3)), is_on_gpu("t1.nii.gz")
    (False, False)
    """
    place = _place(value)
    return hasattr(value, "__cuda_array_interface__") if place is None else place[0] in CUDA


def brought_to_host(value: Any) -> Any:
    """Something that :func:`numpy.asarray` takes in place of an array of another library.

    What is in the memory of the host stays there, without the record of a gradient; what is elsewhere is copied.

    Parameters
    ----------
    value : Any

    Returns
    -------
    object
        `value` itself if it is no such array.

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
        for copy in ("cpu", "get"):  # of PyTorch, of CuPy
            if hasattr(value, copy):
                return getattr(value, copy)()
    if hasattr(value, "__array__"):
        return value
    return np.from_dlpack(value) if place[0] in HOST else np.from_dlpack(value, device="cpu")


def device_array(value: Any, *, argument: str, function: str) -> Any:
    """The memory of an array on a GPU as an array of CuPy; its GPU becomes the current one of this thread.

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
        If there is no CuPy, which computes there.
    InputError
        If the library does not hand out its memory.
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
    except Exception as error:  # whatever the other library raises
        raise InputError(
            f"{function}: `{argument}` is a {type(value).__name__} on a GPU whose memory cannot be taken over: {error}"
        ) from error
    if place is None:
        selection.device_backend(found.device.id).use()
    return found


def as_came(array: Any, value: Any) -> Any:
    """An answer as an array of the library of another: one on a GPU by DLPack, without a copy.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
    value : Any
        What came in.

    Returns
    -------
    array
        As it is if it is of NumPy, or the other library does not take it.
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
    """(kind of device, its number), of DLPack; None of what does not speak it."""
    with suppress(Exception):  # some say so by raising, as tensors without memory do
        kind, number = value.__dlpack_device__()
        return int(kind), int(number)
    return None
