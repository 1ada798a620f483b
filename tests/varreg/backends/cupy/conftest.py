"""The stand-in for the device where CuPy would be imported."""

import sys

import pytest

from varreg.backends.cupy import selection

from .fake_cupy import FakeCuPy, Mirror


@pytest.fixture
def device_scipy(monkeypatch):
    """``cupyx.scipy`` for arrays of the stand-in."""
    for name in ("ndimage", "fft"):
        mirror = Mirror(f"cupyx.scipy.{name}", f"scipy.{name}")
        monkeypatch.setitem(sys.modules, f"cupyx.scipy.{name}", mirror)


@pytest.fixture
def device(monkeypatch, device_scipy, tmp_path):
    """``cupy`` is the stand-in, and no self-test is remembered."""
    cupy = FakeCuPy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setenv(selection.FOLDER_VARIABLE, str(tmp_path / "cache"))
    selection.device_backend.cache_clear()
    cupy.log.reset()
    yield cupy
    selection.device_backend.cache_clear()
