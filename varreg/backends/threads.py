"""One pool of threads for everything: who computes a block is left open, what comes out is not.

Compiled kernels release the GIL and never share what they write, so that the answer has the same bits for
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

#: Variables that limit the number of threads; the first one that is set rules.
VARIABLES = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS")

#: Few, for each costs a switch between threads; several, for one thread may begin late or be slowed down.
TASKS_PER_THREAD = 4

logger = logging.getLogger(__name__)


def available_threads() -> int:
    """Default number of threads.

    The cores that this thread may run on: by its affinity, by the quota of its control group (a container)
    and by ``LOKY_MAX_CPU_COUNT``; no more than ``NUMBA_NUM_THREADS``, or else ``OMP_NUM_THREADS``, allows.
    """
    from loky.backend.context import cpu_count

    cores = int(cpu_count())
    name = next((name for name in VARIABLES if os.environ.get(name)), None)
    if name is None:
        return cores
    value = os.environ[name].split(",")[0].strip()  # OpenMP: one number for each level of nesting
    if not value.isdecimal() or int(value) < 1:
        logger.warning("varreg: %s=%r is not a number of threads; ignored.", name, os.environ[name])
        return cores
    return min(cores, int(value))


def run(kernel: Callable[..., Any], blocks: int, threads: int, *arguments: Any) -> None:
    """Call ``kernel(first, stop, *arguments)`` until all blocks are computed, and wait.

    Parameters
    ----------
    kernel : callable
        Computes the blocks first, ..., stop - 1 without the GIL; no two blocks write to the same place.
    blocks : int
    threads : int
        At most; the calling thread is one of them.
    """
    if min(threads, blocks) <= 1:
        kernel(0, blocks, *arguments)
        return
    count = min(TASKS_PER_THREAD * threads, blocks)
    cuts = [blocks * k // count for k in range(count + 1)]
    each(lambda k: kernel(cuts[k], cuts[k + 1], *arguments), range(count), threads)


def each(task: Callable[[Item], Made], items: Iterable[Item], threads: int) -> list[Made]:
    """What a task makes of every item; whichever thread is free takes the next one.

    The calling thread takes part and waits for no thread that has not begun, so that tasks may call this
    function.
    """
    items = list(items)
    made: dict[int, Made] = {}
    left = deque(range(len(items)))

    def work() -> None:
        while left:
            try:
                number = left.popleft()  # atomic, as its documentation says
            except IndexError:  # another thread was faster
                return
            made[number] = task(items[number])

    # each in a copy of this thread's context: kernels that it waits for are counted with this computation
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
    os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has no such threads
