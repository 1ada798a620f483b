"""Complete registrations: run time by stage, image size and number of threads."""

from __future__ import annotations

import time
from typing import Any

import checkout  # noqa: F401
import numpy as np
from synthetic import enlarged_pair

import varreg

#: Cubes of the scaling measurement.
CUBES = (128, 192, 256, 320, 384)
#: Iterations of every level when the work is to be the same whatever the image.
FIXED: dict[str, Any] = {
    "iterations": 10,
    "gradient_tolerance": 0.0,
    "energy_tolerance": 0.0,
    "samples_per_node": None,
}
#: Repeats of a registration, by dimension.
REPEATS = {2: 9, 3: 3}


def stage_seconds(
    fixed: np.ndarray, moving: np.ndarray, threads: int, repeats: int, **changes: Any
) -> dict[str, float]:
    """Median seconds of each stage and of all together (``total``), caller's view."""
    taken: dict[str, list[float]] = {}
    for _ in range(repeats):
        start = time.perf_counter()
        result = varreg.solve(moving, fixed, threads=threads, progress=False, **changes)
        total = time.perf_counter() - start
        for stage, seconds in (*result.provenance["seconds"].items(), ("total", total)):
            taken.setdefault(stage, []).append(seconds)
    return {stage: float(np.median(seconds)) for stage, seconds in taken.items()}


def by_threads(
    fixed: np.ndarray, moving: np.ndarray, counts: list[int]
) -> dict[int, dict[str, float]]:
    """:func:`stage_seconds` for several numbers of threads, after a warm-up."""
    varreg.solve(moving, fixed, progress=False)
    repeats = REPEATS[fixed.ndim]
    return {count: stage_seconds(fixed, moving, count, repeats) for count in counts}


def scaling(cubes: tuple[int, ...], threads: int) -> list[dict[str, Any]]:
    """Seconds per million voxels of cubes of one content.

    ``deformable`` is that stage with :data:`FIXED`; ``iteration`` its finest level, per energy that
    was evaluated; ``whole`` a registration with the default options.
    """
    found: list[dict[str, Any]] = []
    for n in cubes:
        fixed, moving = enlarged_pair((n, n, n))
        if not found:
            varreg.solve(moving, fixed, progress=False)
        result = varreg.solve(moving, fixed, threads=threads, progress=False, **FIXED)
        finest = result.levels[-1]
        whole = stage_seconds(fixed, moving, threads, 1)["total"]
        million = fixed.size / 1e6
        found.append(
            {
                "size": n,
                "iteration": finest.seconds / finest.evaluations / million,
                "deformable": result.provenance["seconds"]["deformable"] / million,
                "whole": whole / million,
                "whole_seconds": whole,
            }
        )
    return found


def spread(values: list[float]) -> float:
    """(largest - smallest) / mean, in %."""
    return 100 * (max(values) - min(values)) / float(np.mean(values))
