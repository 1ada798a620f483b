"""One device: its kernels, small constants, and memory that is kept between evaluations."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Workspace
from .launch import Kernels
from .tables import TableCache

#: Small arrays kept on the device; with more they are all dropped.
MOST_CONSTANTS = 256


class DeviceMemoryError(MemoryError):
    """The memory of a GPU is not enough; the message says what was wanted, what is free, and what to do."""


class Device:
    """A device.

    Parameters
    ----------
    cupy : module
    number : int
    """

    def __init__(self, cupy: Any, number: int) -> None:
        self.cupy, self.number = cupy, number
        self.tables = TableCache(cupy)
        self._kernels: dict[np.dtype, Kernels] = {}
        self._constants: dict[bytes, Any] = {}

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """A context in which it is the current device of this thread.

        Raises
        ------
        DeviceMemoryError
        """
        with self.cupy.cuda.Device(self.number):
            try:
                yield
            except DeviceMemoryError:
                raise
            except MemoryError as error:
                free, total = (n / 1e9 for n in self.cupy.cuda.runtime.memGetInfo())
                raise DeviceMemoryError(
                    f"varreg: the memory of GPU {self.number} is not enough: {error} ({free:.1f} of"
                    f" {total:.1f} GB are free). Use backend='numba', coarser `levels`, or end what else"
                    " uses the GPU."
                ) from error

    def holds(self, array: Any) -> bool:
        """Whether an array lives on a device."""
        return isinstance(array, self.cupy.ndarray)

    def kernels(self, dtype: Any) -> Kernels:
        """The kernels in a precision."""
        dtype = np.dtype(dtype)
        if dtype not in self._kernels:
            self._kernels[dtype] = Kernels(self.cupy, dtype)
        return self._kernels[dtype]

    def constant(self, array: NDArray[Any]) -> Any:
        """A small array on the device, kept by its content."""
        key = f"{array.dtype.str}{array.shape}".encode() + array.tobytes()
        found = self._constants.get(key)
        if found is None:
            if len(self._constants) >= MOST_CONSTANTS:
                self._constants.clear()
            found = self._constants[key] = self.cupy.asarray(np.ascontiguousarray(array))
        return found

    def buffer(self, workspace: Workspace, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """Device memory that a workspace keeps, with any content."""
        found = workspace.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            found = workspace[name] = self.cupy.empty(shape, dtype=dtype)
        return found
