"""Provenance of a result: versions, machine, run time."""

from __future__ import annotations

import importlib
import platform
from typing import Any

from .._version import __version__


def provenance(kernels: Any, threads: int, seconds: dict[str, float]) -> dict[str, Any]:
    """Versions of the numerical packages, the backend and its device, and the run time of each stage.

    Parameters
    ----------
    kernels : Backend
    threads : int
    seconds : dict
        Stage -> seconds.
    """
    packages = ("numpy", "scipy", *({"numba", "cupy"} & {kernels.NAME}))
    versions = {name: importlib.import_module(name).__version__ for name in packages}
    where = {"device": kernels.describe()} if kernels.NAME == "cupy" else {}
    return {
        "varreg": __version__,
        "python": platform.python_version(),
        **versions,
        "backend": kernels.NAME,
        **where,
        "threads": threads,
        "platform": platform.platform(),
        "seconds": seconds,
    }
