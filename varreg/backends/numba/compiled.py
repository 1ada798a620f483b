"""Compilation of functions: kernels, which are called from Python, and their parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit
from numba.core.options import DefaultOptions

from .kept import kept

#: Parts do not allocate memory, so that reference counting of arrays, a sixth of the time of a kernel, can be disabled.
#: The option is internal to Numba; results are bitwise the same without it.
_UNCOUNTED = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}

#: Decorator of functions called by kernels only, without wrappers for calls from Python.
part = partial(
    njit, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **_UNCOUNTED
)
#: Decorator of short functions that are inlined before type inference, including those that allocate memory.
expanded = njit(error_model="numpy", inline="always")


def kernel(function: Callable[..., None]) -> Any:
    """Compile a function that is called from Python, releases the GIL, and is cached on disk if possible."""
    return kept(njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function))
