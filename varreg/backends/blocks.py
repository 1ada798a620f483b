"""Fixed blocks of work, handed to threads: the same bits for any number of threads.

A kernel is compiled without the GIL and takes ``(first, stop, step, ...)``: it computes blocks
first, first + step, ... Blocks never share what they write, so threads only decide who computes a
block, never what comes out.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from .cores import move_to_core

VOXELS_PER_BLOCK = 12_500
MOST_BLOCKS = 64
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def available_threads() -> int:
    """How many threads this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def block_count(voxels: int) -> int:
    """Number of blocks for an image: a function of its size only."""
    return max(1, min(MOST_BLOCKS, voxels // VOXELS_PER_BLOCK))


def row_tiles(
    planes: tuple[int, int], rows: tuple[int, int], count: int
) -> list[tuple[int, int, int, int]]:
    """Rows [rows) of planes [planes) cut into at most `count` tiles of rows: see ``kernels.nodes``."""
    (i0, i1), (j0, j1) = planes, rows
    across = min(count, i1 - i0)
    down = min(max(count // across, 1), j1 - j0)
    i, j = _cuts(i0, i1, across), _cuts(j0, j1, down)
    return [
        (*a, *b) for a in zip(i[:-1], i[1:], strict=True) for b in zip(j[:-1], j[1:], strict=True)
    ]


def _cuts(first: int, stop: int, count: int) -> list[int]:
    return [first + k * (stop - first) // count for k in range(count + 1)]


def run(kernel: Callable[..., Any], blocks: int, threads: int, *arguments: Any) -> None:
    """Run all blocks of a kernel on the given number of threads and wait."""
    workers = min(threads, blocks)
    if workers <= 1:
        kernel(0, blocks, 1, *arguments)
        return
    pool = _pool(workers)
    jobs = ((kernel, k, blocks, workers, *arguments) for k in range(workers))
    for part in [pool.submit(_part, *job) for job in jobs]:
        part.result()


def _part(kernel: Callable[..., Any], first: int, blocks: int, step: int, *arguments: Any) -> None:
    move_to_core(first)  # the calling thread only waits, so that there is a core for each part
    kernel(first, blocks, step, *arguments)


def _pool(workers: int) -> ThreadPoolExecutor:
    key = (os.getpid(), workers)  # a forked process must not inherit threads that do not exist
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(workers, thread_name_prefix="varreg")
        atexit.register(_pools[key].shutdown, wait=False)
    return _pools[key]
