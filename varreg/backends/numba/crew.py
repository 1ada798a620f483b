"""The threads that share out an evaluation: one that leads, and helpers that stay awake for a while.

Waking a thread takes longer than most blocks do.  So helpers look for the next evaluation for about half a millisecond before they sleep,
and the leader never waits for one to arrive: it does all that nobody else takes.
"""

from __future__ import annotations

import atexit
import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Labels, Moving, Scratch, VoxelMap
from ..cores import current_core, move_to_core
from .evaluation import CLOSED, PLACES, Evaluation, take_part
from .nodes import most_nodes

_pools: dict[int, ThreadPoolExecutor] = {}


class Crew:
    """The threads of one level.

    Parameters
    ----------
    work : Evaluation
        What they work on.
    threads : int
        How many, with the one that calls.
    """

    def __init__(self, work: Evaluation, threads: int) -> None:
        self.work, self.threads = work, threads
        self.shared = np.zeros(PLACES, np.int64)
        self.helpers: list[Future[None] | None] = [None] * (threads - 1)

    def do(self, steps: int) -> None:
        """Carry out the steps and wait until they are done."""
        for k, helper in enumerate(self.helpers):
            if helper is None or helper.done():
                job = (k, current_core(), self.shared, self.work)
                self.helpers[k] = _pool().submit(_help, *job)
        take_part(steps, True, self.shared, self.work)

    def __del__(self) -> None:
        self.shared[CLOSED] = 1  # helpers that still look for work go at once


def _help(number: int, busy: int, shared: NDArray[np.int64], work: Evaluation) -> None:
    move_to_core(number, busy)
    take_part(0, False, shared, work)


def crew_at(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, scratch: Scratch, threads: int,
    kernel: Array | None = None,
) -> Crew:  # fmt: skip
    """The crew of a level, kept in its scratch, with the nodes where they are now."""
    crew = scratch.crew
    if crew is None or not _serves(crew, moving, where, nodes, labels, threads, kernel):
        crew = scratch.crew = Crew(_evaluation(moving, where, nodes, labels, kernel), threads)
    crew.work.nodes[...] = nodes
    return crew


def _serves(
    crew: Crew, moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, threads: int,
    kernel: Array | None,
) -> bool:  # fmt: skip
    work = crew.work
    same = work.moving is moving and work.where is where and work.labels is labels
    same = same and work.nodes.shape == nodes.shape and work.nodes.dtype == nodes.dtype
    return same and crew.threads == threads and (kernel is None or work.band is banded(kernel))


def _evaluation(
    moving: Moving, where: VoxelMap, nodes: Array, labels: Labels, kernel: Array | None
) -> Evaluation:
    """Arrays for one level."""
    kernel = np.ones((labels.bins, 1)) if kernel is None else kernel
    planes, _, n = labels.label.shape
    tiles, bins, groups = labels.tiles, labels.bins, int(labels.group[-1]) + 1
    tables = np.zeros((len(tiles) * (labels.height + 1), bins))
    regions = groups * labels.height // bins
    return Evaluation(
        moving, where, np.empty(nodes.shape, nodes.dtype), labels,
        np.searchsorted(labels.group, np.arange(groups + 1)),
        tables, tables[: len(tiles) * labels.height].reshape(-1, bins, bins),
        banded(kernel), np.ascontiguousarray(kernel.T), np.ones(1),
        np.zeros(regions), np.zeros(regions), np.zeros((regions, bins, bins)),
        np.zeros((regions * bins + 1, bins), nodes.dtype),
        np.empty((len(tiles), 3, *most_nodes(tiles, where, planes), n), nodes.dtype),
        np.empty((*nodes.shape[:3], n), nodes.dtype), np.empty(nodes.shape, nodes.dtype),
    )  # fmt: skip


def banded(kernel: Array) -> Array:
    """band[k, b] = K[b, b + k - reach] of the kernel's columns kernel[c, k] = K[c + k - reach, c]."""
    return _band_of(kernel.shape, kernel.tobytes())


@lru_cache(maxsize=16)
def _band_of(shape: tuple[int, int], entries: bytes) -> Array:
    kernel = np.frombuffer(entries).reshape(shape)
    reach = shape[1] // 2
    band = np.zeros(shape[::-1])
    for k, column in enumerate(kernel.T):
        low, high = max(0, k - reach), min(shape[0], shape[0] + k - reach)
        if low < high:  # else a kernel wider than the table
            band[2 * reach - k, low:high] = column[low - k + reach : high - k + reach]
    return band


def _pool() -> ThreadPoolExecutor:
    """Threads for the helpers of all crews: with all of them busy, a crew does without."""
    process = os.getpid()  # a forked process must not inherit threads that do not exist
    if process not in _pools:
        _pools[process] = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="varreg")
        atexit.register(_pools[process].shutdown, wait=False)
    return _pools[process]
