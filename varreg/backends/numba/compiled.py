"""How functions are compiled: those that Python calls, and those that they are made of."""

from __future__ import annotations

from functools import partial

from numba import njit

#: Called from Python: without the GIL, kept on disk, and divisions like NumPy's.
kernel = njit(nogil=True, cache=True, error_model="numpy")
#: Called by kernels only.
part = njit(error_model="numpy")
#: The same for a few lines that are best written out where they are called.
inlined = njit(error_model="numpy", forceinline=True)
expanded = njit(error_model="numpy", inline="always")
reordered = partial(njit, error_model="numpy")
