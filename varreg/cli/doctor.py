"""The command ``varreg doctor``: versions, threads, cache of compiled kernels, disk space."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from .._version import __version__
from .exit_codes import Command

#: Required packages, then those for optional features.
NEEDED = ("numpy", "scipy", "numba", "nibabel", "scikit-image", "matplotlib", "jinja2", "click")
FURTHER = ("torch", "safetensors", "SimpleITK", "nitransforms", "antspyx", "cupy-cuda12x")
ABSENT = "not installed"


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Print versions, threads, cache and disk space, to paste into an issue."""
    found = examine()
    click.echo(json.dumps(found, indent=2) if as_json else described(found))


def examine() -> dict[str, Any]:
    """Information for issue reports; the only paths are those of Python and the cache.

    Returns
    -------
    dict
        "varreg", "python", "platform", "packages" and "further" (name -> version),
        "threads" (the default number), "variables" (environment variables for threads
        and cache),
        "kernels" ("compiled" or "not compiled yet", with "cache": folder or None, "writable" and
        "free_gigabytes"), "gpu" (in words, including the state of its self-test).

    Examples
    --------
    >>> found = examine()
    >>> found["packages"]["numpy"] != "not installed", found["threads"] >= 1
    (True, True)
    """
    from ..backends.threads import available_threads

    return {
        "varreg": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in NEEDED},
        "further": {name: _version(name) for name in FURTHER},
        "threads": available_threads(),
        "variables": {name: value for name, value in os.environ.items() if _rules(name)},
        "kernels": _kernels(),
        "gpu": _gpu(),
    }


def described(found: dict[str, Any]) -> str:
    """The same information as text for an issue."""
    kernels = found["kernels"]
    lines = [
        f"varreg {found['varreg']}, python {found['python']}",
        found["platform"],
        f"threads: {found['threads']}",
        "packages: " + _list(found["packages"]),
        "further: " + _list(found["further"]),
        f"kernels: {kernels['state']}",
        _cache_line(kernels),
        f"gpu: {found['gpu']}",
    ]
    if kernels["free_gigabytes"] is not None:
        lines.append(f"free where the cache is: {kernels['free_gigabytes']:.1f} GB")
    if found["variables"]:
        lines.append("variables: " + _list(found["variables"]))
    missing = [name for name, version in found["packages"].items() if version == ABSENT]
    if missing:
        lines.append(f"MISSING: {', '.join(missing)}; install by python -m pip install varreg")
    return "\n".join(lines)


def _cache_line(kernels: dict[str, Any]) -> str:
    if kernels["cache"] is None:
        return (
            "cache: NONE, no folder is writable: every process compiles the kernels again, "
            "10 to 15 s or more; set NUMBA_CACHE_DIR to a writable folder"
        )
    remedy = (
        "" if kernels["writable"] else (" (NOT WRITABLE: set NUMBA_CACHE_DIR to a writable folder)")
    )
    return f"cache: {kernels['cache']}{remedy}"


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def _rules(name: str) -> bool:
    return name.startswith(("NUMBA_", "OMP_", "LOKY_", "VARREG_"))


def _kernels() -> dict[str, Any]:
    from ..backends.numba import backend as cpu
    from ..backends.numba.cache import cache_folder

    folder = cache_folder(cpu.backprojections)
    there = _nearest(folder)
    return {
        "state": "compiled"
        if cpu.is_compiled()
        else "not compiled yet: the first run takes 10 to 15 s longer",
        "cache": None if folder is None else str(folder),
        "writable": folder is not None and there is not None and os.access(there, os.W_OK),
        "free_gigabytes": None if there is None else shutil.disk_usage(there).free / 1e9,
    }


def _gpu() -> str:
    """The first GPU, and whether --backend auto uses it."""
    from ..backends.cupy.selection import DeviceUnavailable, identity, is_proven

    try:
        found = str(identity(0))
    except DeviceUnavailable as reason:
        return f"none: {reason}"
    if is_proven(0):
        return f"{found}; its self-test has passed: --backend auto uses it"
    return f"{found}; not tested: varreg selftest --backend cupy (until then --backend auto uses the CPU)"


def _nearest(folder: Path | None) -> Path | None:
    """The folder, or its nearest existing parent."""
    if folder is None:
        return None
    return next((place for place in (folder, *folder.parents) if place.exists()), None)


def _list(entries: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in entries.items())
