"""Selection of the backend by name."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from ..backends.compilation import kernel_awaited
from ..errors import BackendError, InputError
from .validation import named

#: "auto" is the GPU if there is one whose self-test has passed on this machine, otherwise "numba".
BACKENDS = ("auto", "numba", "cupy", "numpy")


def chosen_backend(name: str, device: int = 0, function: str = "varreg.solve") -> Any:
    """The backend of the given name, without fallback.

    Parameters
    ----------
    name : {"auto", "numba", "cupy", "numpy"}
    device : int
        Index of the GPU, for "cupy" and "auto"; it becomes the current device of this thread.
    function : str
        For the messages.
    """
    name = named(name, BACKENDS)
    if not isinstance(name, str) or name not in BACKENDS:
        raise InputError(
            f"{function}: `backend` must be one of {', '.join(map(repr, BACKENDS))}; got {name!r}."
        )
    if isinstance(device, bool) or not isinstance(device, (int, np.integer)) or device < 0:
        raise InputError(
            f"{function}: `device` must be the number of a GPU, from 0; got {device!r}."
        )
    if name in ("numba", "numpy"):
        with kernel_awaited():  # importing Numba takes half a second
            return importlib.import_module(f"varreg.backends.{name}.backend")
    selection = importlib.import_module("varreg.backends.cupy.selection")
    if name == "auto" and not selection.is_proven(int(device)):
        return chosen_backend("numba")
    try:
        found = selection.device_backend(int(device))
        found.use()
        return found
    except selection.DeviceUnavailable as reason:
        raise BackendError(
            f"{function}: `backend` 'cupy' is not available: {reason} Or use backend='numba'."
        ) from reason
