"""varreg with many settings on many stored pairs, in worker processes of one thread each."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import checkout  # noqa: F401
from factors import Change, options
from pairs import Pair, load_pair, scores

Task = tuple[Change, str]


def run_all(tasks: list[Task], processes: int) -> list[dict[str, Any]]:
    """The scores of (change, file of a pair), in the order of the tasks."""
    from tqdm import tqdm

    if not tasks:
        return []
    context = multiprocessing.get_context("spawn")  # numba's threads do not survive a fork
    with ProcessPoolExecutor(processes, context, _warm_up, (tasks[0][1],)) as pool:
        return list(tqdm(pool.map(_run, tasks), total=len(tasks), unit="registration"))


def solve(pair: Pair, change: Change) -> dict[str, Any]:
    """The scores and seconds of one registration by one thread."""
    import varreg

    changes = options(change, pair.fixed.shape)
    start = time.perf_counter()
    result = varreg.solve(pair.moving, pair.fixed, threads=1, progress=False, **changes)
    displacement = result.displacement
    seconds = time.perf_counter() - start
    return {**scores(pair, displacement), "seconds": seconds}


def _run(task: Task) -> dict[str, Any]:
    change, file = task
    return solve(load_pair(Path(file)), change)


def _warm_up(file: str) -> None:
    """What is compiled is loaded before the first registration that counts."""
    solve(load_pair(Path(file)), {"iterations": 1, "affine_iterations": 1})
