"""Description of the machine of a measurement: hardware, versions, memory bandwidth.

python examples/benchmarks/machine.py
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

#: Voxels of the triad: a head at 1 mm.
VOXELS = 240 * 240 * 155
#: Bytes that a = b + s c moves per voxel in float32: two reads and a write.
BYTES = 12
#: What a figure depends on, in a checkout.
SOURCES = ("varreg", "learned", "examples", "setup.cfg", "pyproject.toml")
#: What is said of a commit where these differ from it; no page may show figures of such sources.
CHANGED = " with uncommitted changes"
LIBRARIES = ("numpy", "scipy", "numba")
PEERS = ("antspyx", "picsl_greedy", "itk-elastix", "fireants", "SimpleITK")


def describe() -> dict[str, Any]:
    """Machine, versions and date, as plain JSON values."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu_model(),
        "cores": cores(),
        "memory_gb": memory_gb(),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "varreg": varreg_version(),
        **versions(LIBRARIES),
        **versions(PEERS),
    }


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def memory_gb() -> float | None:
    """Physical memory in GB (1e9 bytes), if the system tells."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Versions of those distributions that are installed."""
    found = {}
    for name in distributions:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def varreg_version() -> str:
    """Version of varreg and, in a checkout, its commit; :data:`CHANGED` if what computes is not as it was committed.

    Pages, notes and results of the checkout may be under way; they change no figure.
    """
    import checkout

    import varreg

    if Path(varreg.__file__).resolve().parents[1] != checkout.ROOT:
        return varreg.__version__
    try:
        commit = _git(checkout.ROOT, "rev-parse", "--short", "HEAD")
        changed = _git(checkout.ROOT, "status", "--porcelain", "--", *SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return varreg.__version__
    return f"{varreg.__version__} ({commit}{CHANGED if changed else ''})"


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def triad(threads: int, voxels: int = VOXELS, repeats: int = 10) -> dict[str, float]:
    """The best time of a = b + s c in float32: ``ms``, and ``gb_per_s`` of 12 bytes per voxel."""
    add = _compiled_triad()
    b, c = np.ones(voxels, np.float32), np.ones(voxels, np.float32)
    a, s = np.zeros_like(b), np.float32(3.0)
    cuts = [voxels * k // threads for k in range(threads + 1)]
    parts = [slice(*cut) for cut in zip(cuts[:-1], cuts[1:], strict=True)]
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats + 1):  # the first one compiles and touches the memory
            start = time.perf_counter()
            for part in [pool.submit(add, a[p], b[p], c[p], s) for p in parts]:
                part.result()
            best = min(best, time.perf_counter() - start)
    return {"ms": 1e3 * best, "gb_per_s": BYTES * voxels / best / 1e9}


def triads(repeats: int = 10) -> dict[int, dict[str, float]]:
    """Threads -> triad, for one thread and for all."""
    return {threads: triad(threads, repeats=repeats) for threads in sorted({1, cores()})}


def _compiled_triad() -> Callable[..., None]:
    import numba

    @numba.njit(nogil=True)
    def add(a, b, c, s):
        for i in range(a.size):
            a[i] = b[i] + s * c[i]

    return add


def summary(machine: dict[str, Any]) -> str:
    """Two lines of text for the head of a table."""
    names = ("varreg", "python", *LIBRARIES, *PEERS)
    known = ", ".join(f"{name} {machine[name]}" for name in names if name in machine)
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB"
    return f"{where}, {machine['os']}; {machine['date']}\n{known}"


def triad_lines(measured: dict[int, dict[str, float]]) -> str:
    """One line per number of threads."""
    return "\n".join(
        f"memory triad, {threads} thread{'s' * (threads > 1)}: "
        f"{found['ms']:.2f} ms for {VOXELS / 1e6:.1f} million voxels, {found['gb_per_s']:.1f} GB/s"
        for threads, found in measured.items()
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write it here too")
    arguments = parser.parse_args()
    machine, measured = describe(), triads()
    print(summary(machine), triad_lines(measured), sep="\n")
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "triad": measured}, indent=1))


if __name__ == "__main__":
    main()
