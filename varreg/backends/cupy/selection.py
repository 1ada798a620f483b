"""The device that is asked for, and whether its self-test has passed here."""

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

#: The folder in which passed self-tests are remembered, if it is not that of the user's cache.
FOLDER_VARIABLE = "VARREG_CACHE_DIR"


class DeviceUnavailable(Exception):
    """Why there is no such device, and the remedy."""


@dataclass(frozen=True)
class Identity:
    """What a self-test is about: another device, driver, CuPy or kernel has to pass again.

    Attributes
    ----------
    name : str
    driver : int
        Version of CUDA that the driver knows, 12090 for 12.9.
    cupy : str
        Version.
    kernels : str
        Hash of their sources.
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
    """The backend on a device: one for each, so that kernels are compiled once.

    Raises
    ------
    DeviceUnavailable
    """
    cupy = _cupy()
    count = _device_count(cupy)
    if count == 0:
        raise DeviceUnavailable("CuPy finds no CUDA device: check the NVIDIA GPU and its driver.")
    if not 0 <= number < count:
        raise DeviceUnavailable(f"there are {count} devices, from 0; got device {number}.")
    return CuPyBackend(number, cupy)


def identity(number: int) -> Identity:
    """What a self-test of a device is about."""
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
    """Whether there is a device whose self-test has passed here; without a record CuPy is not even imported."""
    try:
        return _memory().is_file() and str(_record(identity(number))) in _records()
    except DeviceUnavailable:
        return False


def remember(number: int) -> Path:
    """Record that the self-test of a device has passed; the file of the records."""
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
    """The passed self-tests; what cannot be read holds none."""
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
    except cupy.cuda.runtime.CUDARuntimeError:  # no driver, or none that is new enough
        return 0
