"""Threads on cores of their own.

A scheduler often wakes a thread on the core of the one that woke it, and leaves both there for
milliseconds though another core is idle.  Where the system has a way to say so, a thread that begins
moves to a core of its own, and is free to leave it at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os

_can_move = hasattr(os, "sched_setaffinity")
_current = getattr(ctypes.CDLL(None), "sched_getcpu", None) if _can_move else None


def current_core() -> int:
    """The core that this thread runs on, or -1 where the system does not say."""
    return -1 if _current is None else int(_current())


def move_to_core(number: int, busy: int = -1) -> None:
    """Move this thread to core `number` of those that the process may use, but not to `busy`."""
    if not _can_move:
        return
    with contextlib.suppress(OSError):  # where it is forbidden, the scheduler is left alone
        usable = os.sched_getaffinity(os.getpid())
        free = sorted(usable - {busy})
        if free:
            os.sched_setaffinity(0, {free[number % len(free)]})
            os.sched_setaffinity(0, usable)
