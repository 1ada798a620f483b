"""Selection of a device, and records of passed self-tests."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from .backend import CuPyBackend
from .source import source, source_for_many

#: Environment variable with the folder of the records of passed self-tests, by default the user's cache folder.
FOLDER_VARIABLE = "VARREG_CACHE_DIR"


class DeviceUnavailable(Exception):
    """The requested device is not available; the message has the reason and the remedy."""


@dataclass(frozen=True)
class Identity:
    """Configuration covered by a self-test: after a change of any of these the test must be repeated.

    Attributes
    ----------
    name : str
        Name of the device.
    driver : int
        CUDA version supported by the driver, 12090 for 12.9.
    cupy : str
        Version of CuPy.
    kernels : str
        Hash of the sources of the kernels.
    """

    name: str
    driver: int
    cupy: str
    kernels: str

    def __str__(self) -> str:
        """
        >>> print(Identity("NVIDIA H100", 12090, "14.2.0", "0123"))
        NVIDIA H100, driver for CUDA 12.9, CuPy 14.2.0
        """
        major, minor = divmod(self.driver // 10, 100)
        return f"{self.name}, driver for CUDA {major}.{minor}, CuPy {self.cupy}"


@lru_cache(maxsize=16)
def device_backend(number: int) -> CuPyBackend:
    """Backend on a device, cached so that kernels are compiled once.

    Raises
    ------
    DeviceUnavailable
        If CuPy cannot be imported, or there is no such device.
    """
    cupy = _cupy()
    count = _device_count(cupy)
    if count == 0:
        raise DeviceUnavailable("CuPy finds no CUDA device: check the NVIDIA GPU and its driver.")
    if not 0 <= number < count:
        raise DeviceUnavailable(f"there are {count} devices, from 0; got device {number}.")
    return CuPyBackend(number, cupy)


def identity(number: int) -> Identity:
    """Configuration of a device for its self-test."""
    backend = device_backend(number)
    runtime = backend.cupy.cuda.runtime
    name = runtime.getDeviceProperties(number)["name"]
    return Identity(
        name.decode() if isinstance(name, bytes) else str(name), int(runtime.driverGetVersion()),
        backend.cupy.__version__, kernels_stamp(),
    )  # fmt: skip


def kernels_stamp() -> str:
    """Hash of the sources of the kernels."""
    code = source_for_many(source("float32"), "float32")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def is_proven(number: int) -> bool:
    """Whether the device exists and its self-test has passed; without records CuPy is not imported."""
    try:
        return _memory().is_file() and str(_record(identity(number))) in _records()
    except DeviceUnavailable:
        return False


def remember(number: int) -> Path:
    """Record that the self-test of a device has passed, and return the file of the records."""
    path = _memory()
    records = sorted({*_records(), str(_record(identity(number)))})
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(json.dumps(records, indent=1), encoding="utf-8")
    os.replace(new, path)
    return path


def _record(one: Identity) -> str:
    return f"{one.name}|{one.driver}|{one.cupy}|{one.kernels}"


def _records() -> set[str]:
    """Records of passed self-tests; empty if the file cannot be read."""
    try:
        found = json.loads(_memory().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    return set(map(str, found)) if isinstance(found, list) else set()


def _memory() -> Path:
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named) / "self-tests.json"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "varreg" / "self-tests.json"


def _cupy() -> Any:
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        raise DeviceUnavailable(
            f"CuPy cannot be imported ({error}): python -m pip install 'cupy-cuda12x[ctk]'"
        ) from error


def _device_count(cupy: Any) -> int:
    try:
        return int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError:  # no driver, or an outdated one
        return 0
