"""How functions are compiled: kernels, which Python calls, and the parts they are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from numba import njit
from numba.core.options import DefaultOptions

from .kept import kept

#: Parts allocate nothing, so that nobody need count references to their arrays: a sixth of the time of a kernel.
#: The option is Numba's own; without it the answers have the same bits.
_UNCOUNTED = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}

#: Called by kernels only: nothing is compiled for calls from Python.
part = partial(
    njit, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True, **_UNCOUNTED
)
#: A few lines written out where they are used, before types are known: also what allocates.
expanded = njit(error_model="numpy", inline="always")


def kernel(function: Callable[..., None]) -> Any:
    """A function that is called from Python: it runs without the GIL and is kept on disk, where that is possible."""
    return kept(njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function))
