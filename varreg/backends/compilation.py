"""Time for the compilation and loading of kernels, measured separately from computing time.

A kernel is compiled at its first call with new types, or loaded from the cache on disk.  A clock belongs to the
computation that started it and to its worker threads, so that concurrent computations do not count each
other's kernels.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

#: Least time of compilation, in seconds, that is reported.
SHOWN = 0.1


class CompilationClock:
    """Wall-clock time during which one or more threads of a computation wait for a kernel.

    Attributes
    ----------
    seconds : float
        Total time so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock, self._waiting, self._begun = threading.Lock(), 0, 0.0

    def start(self) -> None:
        """Count one more waiting thread."""
        with self._lock:
            if self._waiting == 0:
                self._begun = time.perf_counter()
            self._waiting += 1

    def stop(self) -> None:
        """Count one waiting thread less."""
        with self._lock:
            self._waiting -= 1
            if self._waiting == 0:
                self.seconds += time.perf_counter() - self._begun


_clocks: ContextVar[tuple[CompilationClock, ...]] = ContextVar("compilation", default=())


@contextlib.contextmanager
def compilation_clock() -> Iterator[CompilationClock]:
    """Context manager, or decorator, that measures waiting for kernels; enclosing clocks include this time.

    Examples
    --------
    >>> with compilation_clock() as clock:
    ...     pass
    >>> clock.seconds
    0.0
    """
    clock = CompilationClock()
    token = _clocks.set((*_clocks.get(), clock))
    try:
        yield clock
    finally:
        _clocks.reset(token)


@contextlib.contextmanager
def kernel_awaited() -> Iterator[None]:
    """Context manager around the compilation or loading of a kernel by a backend."""
    clocks = _clocks.get()
    for clock in clocks:
        clock.start()
    try:
        yield
    finally:
        for clock in clocks:
            clock.stop()


def compilation_seconds() -> float:
    """Time in seconds measured by the innermost clock; 0 without a clock."""
    clocks = _clocks.get()
    return clocks[-1].seconds if clocks else 0.0


def computing_time() -> float:
    """Clock, in seconds, that stops during the compilation and loading of kernels; only differences are meaningful."""
    return time.perf_counter() - compilation_seconds()


def duration_text(seconds: float, compilation: float) -> str:
    """Text of the duration of a computation, and of the compilation of kernels if that is noticeable.

    Examples
    --------
    >>> duration_text(0.061, 0.02), duration_text(0.061, 11.27)
    ('0.06 s', '0.06 s, after 11.3 s for compiling or loading kernels')
    """
    if compilation < SHOWN:
        return f"{seconds:.2f} s"
    return f"{seconds:.2f} s, after {compilation:.1f} s for compiling or loading kernels"
