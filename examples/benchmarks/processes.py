"""Measurements in a fresh process: peak memory, import time, the first call with and without a cache.

``python processes.py {memory,import,calls} [FOLDER]`` runs in the fresh process and prints JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

#: Imports are timed this often; the median counts.
IMPORTS = 5


def peak_memory(fixed: np.ndarray, moving: np.ndarray) -> dict[str, float]:
    """MB (1e6 bytes) of a process that registers: with the images loaded, and at its peak."""
    with tempfile.TemporaryDirectory() as folder:
        _save(fixed, moving, folder)
        _fresh("calls", folder)  # nothing is compiled while memory is measured
        return _fresh("memory", folder)


def starting_times(fixed: np.ndarray, moving: np.ndarray) -> dict[str, float]:
    """Seconds of imports and first calls; ``compiled`` starts with an empty cache of its own."""
    imports = [_fresh("import") for _ in range(IMPORTS)]
    times = {key: float(np.median([found[key] for found in imports])) for key in imports[0]}
    with tempfile.TemporaryDirectory() as folder:
        _save(fixed, moving, folder)
        cache = {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")}
        compiling = _fresh("calls", folder, **cache)
        cached = _fresh("calls", folder, **cache)
    return {
        **times,
        "first call, empty cache": compiling["first"],
        "first call, cached": cached["first"],
        "second call": cached["second"],
    }


def _save(fixed: np.ndarray, moving: np.ndarray, folder: str) -> None:
    np.save(Path(folder) / "fixed.npy", fixed)
    np.save(Path(folder) / "moving.npy", moving)


def _fresh(task: str, *arguments: str, **environment: str) -> dict[str, float]:
    """What another process running this file says."""
    command = [sys.executable, str(Path(__file__).resolve()), task, *arguments]
    surroundings = {**os.environ, **environment}
    ended = subprocess.run(command, env=surroundings, stdout=subprocess.PIPE, check=True)
    return json.loads(ended.stdout)


def _import() -> dict[str, float]:
    start = time.perf_counter()
    import varreg

    package = time.perf_counter() - start
    varreg.solve  # noqa: B018  the access imports what a registration needs
    return {"import varreg": package, "import varreg.solve": time.perf_counter() - start - package}


def _calls(fixed: np.ndarray, moving: np.ndarray) -> dict[str, float]:
    import varreg

    solve, times = varreg.solve, [time.perf_counter()]
    for _ in range(2):
        solve(moving, fixed, progress=False)
        times.append(time.perf_counter())
    return {"first": times[1] - times[0], "second": times[2] - times[1]}


def _memory(fixed: np.ndarray, moving: np.ndarray) -> dict[str, float]:
    import varreg

    solve, before = varreg.solve, _peak()
    result = solve(moving, fixed, progress=False)
    solved = _peak()
    result.displacement  # noqa: B018  the access computes the field at every voxel
    return {"start": before, "solve": solved, "with displacement": _peak()}


def _peak() -> float:
    """Largest resident memory so far, MB.

    Linux carries getrusage's maximum over from the process that started this one, so its own is read
    from /proc where there is one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024 / 1e6
    except (OSError, StopIteration):
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def main() -> None:
    import checkout  # noqa: F401

    task, *folder = sys.argv[1:]
    names = ("fixed.npy", "moving.npy")
    images: list[Any] = [np.load(Path(folder[0]) / name) for name in names] if folder else []
    tasks: dict[str, Callable[..., dict[str, float]]] = {
        "memory": _memory,
        "import": _import,
        "calls": _calls,
    }
    found = tasks[task](*images)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
