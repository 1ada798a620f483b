"""Thread pool of all computations, with results independent of the scheduling.

Compiled kernels release the GIL and write to disjoint memory, so that results are bitwise the same for
any number of threads.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import lru_cache
from typing import Any, TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

#: Environment variables that limit the number of threads; the first one that is set applies.
VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")

#: Few, to limit context switches; more than one, to balance the load if a thread starts late or is slow.
TASKS_PER_THREAD = 4

logger = logging.getLogger(__name__)


def available_threads() -> int:
    """Default number of threads.

    The number of available cores, by CPU affinity, by the quota of the control group (of a container)
    and by ``LOKY_MAX_CPU_COUNT``, limited by ``NUMBA_NUM_THREADS``, or else by ``OMP_NUM_THREADS``.
    """
    from loky.backend.context import cpu_count

    cores = int(cpu_count())
    name = next((name for name in VARIABLES if os.environ.get(name)), None)
    if name is None:
        return cores
    value = os.environ[name].split(",")[0].strip()  # OpenMP: one number per nesting level
    if not value.isdecimal() or int(value) < 1:
        logger.warning("varreg: %s=%r is not a number of threads; ignored.", name, os.environ[name])
        return cores
    return min(cores, int(value))


def run(kernel: Callable[..., Any], blocks: int, threads: int, *arguments: Any) -> None:
    """Call ``kernel(first, stop, *arguments)`` for ranges of blocks in parallel, and wait for all.

    Parameters
    ----------
    kernel : callable
        Computes the blocks first, ..., stop - 1 without the GIL; blocks write to disjoint memory.
    blocks : int
        Number of blocks.
    threads : int
        Largest number of threads, including the calling thread.
    arguments
        Further arguments of the kernel.
    """
    if min(threads, blocks) <= 1:
        kernel(0, blocks, *arguments)
        return
    count = min(TASKS_PER_THREAD * threads, blocks)
    cuts = [blocks * k // count for k in range(count + 1)]
    each(lambda k: kernel(cuts[k], cuts[k + 1], *arguments), range(count), threads)


def each(task: Callable[[Item], Made], items: Iterable[Item], threads: int) -> list[Made]:
    """Results of a task for every item, in order; the items are distributed dynamically over threads.

    The calling thread participates, and waits only for threads that have started, so that tasks may call
    this function themselves.
    """
    items = list(items)
    made: dict[int, Made] = {}
    left = deque(range(len(items)))

    def work() -> None:
        while left:
            try:
                number = left.popleft()  # atomic, according to its documentation
            except IndexError:  # another thread was faster
                return
            made[number] = task(items[number])

    # in a copy of the context of this thread, so that waiting for kernels is counted for this computation
    helpers = [
        _pool().submit(copy_context().run, work) for _ in range(min(threads, len(items)) - 1)
    ]
    try:
        work()
    finally:
        left.clear()
        for helper in helpers:
            if not helper.cancel():
                helper.result()
    return [made[number] for number in range(len(items))]


@lru_cache(maxsize=1)
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="varreg")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
