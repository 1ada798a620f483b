"""Times of complete registrations, for gpu.py."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from budget import Item, Part, Rows

#: Seconds for the repeats of one registration.
SECONDS = 5.0


def times(bench: Any) -> Part:
    """Registrations on the GPU, then on the CPU: the median of what fits into some seconds, after a first run on the GPU."""
    head = dict(affine="affine", deformable=True, preset="accurate")
    fine = dict(people=True, affine="affine", deformable=True, regularity="fine", iterations=10)
    cases: list[tuple[str, tuple[int, ...], dict[str, Any]]] = [
        ("slice, defaults", bench.slice_, {}),
        ("head, defaults", bench.volume, {}),
        ("slice, preset paper", bench.slice_, dict(preset="paper")),
        ("head, preset paper", bench.volume, dict(preset="paper", iterations=10)),
        ("head, preset accurate", bench.volume, head),
        ("heads of two people, fine", bench.volume, fine),
    ]
    found: dict[str, tuple[float, Any]] = {}

    def on_gpu(name: str, shape: tuple[int, ...], arguments: dict[str, Any]) -> Rows:
        compute = partial(bench.solve, shape, "cupy", **arguments)
        compute()  # compiles, and fills the pool of memory
        found[name] = _median(compute)
        return [[f"{name}, GPU", f"{found[name][0]:.3f}"]]

    def on_cpu(name: str, shape: tuple[int, ...], arguments: dict[str, Any]) -> Rows:
        seconds, result = _median(partial(bench.solve, shape, "numba", **arguments))
        row = [f"{name}, CPU", f"{seconds:.3f}"]
        if name not in found:
            return [row]
        apart = np.linalg.norm(found[name][1].displacement - result.displacement, axis=0)
        return [[*row, f"{seconds / found[name][0]:.1f}", f"{apart.mean():.3f}"]]

    def items() -> list[Item]:
        return [
            Item(f"{case[0]}, {where}", partial(compute, *case))
            for where, compute in (("GPU", on_gpu), ("CPU", on_cpu))
            for case in cases
        ]

    header = ("registration", "s", "times the GPU's", "apart (voxels)")
    return Part("times", str(times.__doc__), header, 0.32, items)


def _median(compute: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds and an answer."""
    found: list[float] = []
    while not found or (sum(found) < SECONDS and len(found) < 5):
        begun = time.perf_counter()
        result = compute()
        found.append(time.perf_counter() - begun)
    return statistics.median(found), result
