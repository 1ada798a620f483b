"""The CuPy backend on a stand-in for the device."""

import functools
import platform

import pytest

from varreg.backends.cupy.backend import CuPyBackend

from .fake_cupy import FakeCuPy
from .host_module import COMPILER

needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no g++, which compiles the kernels")
ORDERS = ("forward", "reverse", "random")
fused = pytest.param(
    "fma",
    marks=pytest.mark.skipif(platform.machine() != "x86_64", reason="-mfma is of x86"),
)


@functools.lru_cache
def backend(flavour="plain", order="forward"):
    """A backend whose kernels are compiled in this flavour and run in this order."""
    return CuPyBackend(0, FakeCuPy(flavour, order))
