"""Time that goes into kernels before they can run, apart from the time of what they compute.

A kernel is compiled when it is first called with new types, or loaded from the cache on disk.  A clock belongs to the
computation that started it and to the threads that help it, so that two computations at once do not count each
other's kernels.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from contextvars import ContextVar

#: Seconds of compilation from which on they are told.
SHOWN = 0.1


class CompilationClock:
    """Wall-clock time during which one thread of a computation or several wait for a kernel.

    Attributes
    ----------
    seconds : float
        So far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock, self._waiting, self._begun = threading.Lock(), 0, 0.0

    def start(self) -> None:
        """A thread begins to wait."""
        with self._lock:
            if self._waiting == 0:
                self._begun = time.perf_counter()
            self._waiting += 1

    def stop(self) -> None:
        """It goes on."""
        with self._lock:
            self._waiting -= 1
            if self._waiting == 0:
                self.seconds += time.perf_counter() - self._begun


_clocks: ContextVar[tuple[CompilationClock, ...]] = ContextVar("compilation", default=())


@contextlib.contextmanager
def compilation_clock() -> Iterator[CompilationClock]:
    """A context, or decorator, in which kernels that are waited for are counted; also by the clocks outside it.

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
    """A context in which a backend makes a kernel ready."""
    clocks = _clocks.get()
    for clock in clocks:
        clock.start()
    try:
        yield
    finally:
        for clock in clocks:
            clock.stop()


def compilation_seconds() -> float:
    """Time that the innermost clock has counted; 0 without one."""
    clocks = _clocks.get()
    return clocks[-1].seconds if clocks else 0.0


def computing_time() -> float:
    """The time, in seconds, that does not pass while kernels are made ready; only differences have a meaning."""
    return time.perf_counter() - compilation_seconds()


def duration_text(seconds: float, compilation: float) -> str:
    """How long a computation took, and its kernels where that shows.

    Examples
    --------
    >>> duration_text(0.061, 0.02), duration_text(0.061, 11.27)
    ('0.06 s', '0.06 s, after 11.3 s for compiling or loading kernels')
    """
    if compilation < SHOWN:
        return f"{seconds:.2f} s"
    return f"{seconds:.2f} s, after {compilation:.1f} s for compiling or loading kernels"
