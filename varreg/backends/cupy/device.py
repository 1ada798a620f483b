"""One device: its kernels, constants, reused memory, and the results of requests."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Workspace
from ..compilation import kernel_awaited
from .gathering import Gathering
from .launch import Kernels
from .queue import Finish, Post, Queue
from .request import Request
from .sending import Answer, fetched, send, sent
from .tables import TableCache

#: Most small arrays cached on the device; the cache is cleared when it is full.
MOST_CONSTANTS = 256


class DeviceMemoryError(MemoryError):
    """Insufficient GPU memory; the message has the requested and the free memory, and remedies."""


class Device:
    """A CUDA device.

    Parameters
    ----------
    cupy : module
    number : int
        Number of the device.
    """

    def __init__(self, cupy: Any, number: int) -> None:
        self.cupy, self.number = cupy, number
        self.tables = TableCache(cupy)
        self._kernels: dict[np.dtype, Kernels] = {}
        self._constants: dict[bytes, Any] = {}
        self._compiling, self._thread = threading.Lock(), threading.local()

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Context manager that makes this the current device of the thread.

        Raises
        ------
        DeviceMemoryError
            If memory on the device is insufficient.
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
                    f" {total:.1f} GB are free). Use backend='numba', coarser `levels`, fewer `threads` of a"
                    " batch, or end other processes on the GPU."
                ) from error

    def free_bytes(self) -> int:
        """Memory available for arrays, in bytes: free on the device or in the memory pool of CuPy."""
        with self.current():
            free, _ = self.cupy.cuda.runtime.memGetInfo()
            return int(free + self.cupy.get_default_memory_pool().free_bytes())

    def holds(self, array: Any) -> bool:
        """Whether an array is on a device."""
        return isinstance(array, self.cupy.ndarray)

    def kernels(self, dtype: Any) -> Kernels:
        """Kernels in a given precision."""
        dtype = np.dtype(dtype)
        with self._compiling, kernel_awaited():
            if dtype not in self._kernels:
                self._kernels[dtype] = Kernels(self.cupy, dtype)
            return self._kernels[dtype]

    def request(self, dtype: Any) -> Request:
        """A new request for kernels in a given precision."""
        return Request(self.kernels(dtype))

    def answered(self, request: Request, finish: Finish) -> Any:
        """Result of a request, processed by `finish`; inside :meth:`deferring` a Later of it."""
        later = self._queue.add(request, finish)
        return later if getattr(self._thread, "defers", False) else later.result()

    def answer(self, request: Request) -> Answer:
        """Result of a request, sent together with those of other threads inside :meth:`together`."""
        answer: Answer = self._queue.add(request, list).result()
        return answer

    @contextlib.contextmanager
    def deferring(self) -> Iterator[None]:
        """Context manager in which requests of this thread are sent when the first of their results is needed."""
        before = getattr(self._thread, "defers", False)
        self._thread.defers = True
        try:
            yield
        finally:
            self._thread.defers = before

    @property
    def _queue(self) -> Queue:
        """Queue of this thread."""
        if not hasattr(self._thread, "queue"):
            self._thread.queue = Queue(self._sent, partial(fetched, self.cupy), self.current)
        queue: Queue = self._thread.queue
        return queue

    def _sent(self, request: Request) -> Post:
        """Send a request, without waiting for its result unless several threads send together."""
        gathering: Gathering | None = getattr(self._thread, "gathering", None)
        if gathering is not None:
            answer = gathering.answer(request)
            return Post(np.empty(0), lambda _: answer)
        parcel = sent(self.cupy, [request])
        return Post(parcel.back, lambda content: parcel.answers(content)[0])

    def answer_alone(self, request: Request) -> Answer:
        """Result of a request, sent individually."""
        return send(self.cupy, [request])[0]

    def together(self) -> Callable[[], AbstractContextManager[None]]:
        """Factory of context managers, one per thread, in which requests of several threads are sent together."""
        return partial(self._member, Gathering(partial(send, self.cupy)))

    @contextlib.contextmanager
    def _member(self, gathering: Gathering) -> Iterator[None]:
        before = getattr(self._thread, "gathering", None)
        with gathering.member():
            self._thread.gathering = gathering
            try:
                yield
            finally:
                self._thread.gathering = before

    def constant(self, array: NDArray[Any]) -> Any:
        """Small array on the device, cached by its content."""
        key = f"{array.dtype.str}{array.shape}".encode() + array.tobytes()
        found = self._constants.get(key)
        if found is None:
            if len(self._constants) >= MOST_CONSTANTS:
                self._constants.clear()
            found = self._constants[key] = self.cupy.asarray(np.ascontiguousarray(array))
        return found

    def buffer(self, workspace: Workspace, name: str, shape: tuple[int, ...], dtype: Any) -> Any:
        """Device array of a workspace, with arbitrary content."""
        found = workspace.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            found = workspace[name] = self.cupy.empty(shape, dtype=dtype)
        return found
