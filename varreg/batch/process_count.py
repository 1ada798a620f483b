"""Number of worker processes of a batch: whether they are possible and beneficial."""

from __future__ import annotations

import logging
import multiprocessing
import sys
from pathlib import Path
from typing import Any

from ..errors import InputError
from .pair import as_pair_task
from .processes import WorkerPool, acquire_pool, has_warm_pool, pickled

logger = logging.getLogger(__name__)

#: Number of small pairs for which starting worker processes is beneficial: the equivalent of the start-up time.
LEAST_FOR_PROCESSES = 48


def processes_possible() -> bool:
    """Whether this process can start worker processes; workers of ``multiprocessing.Pool`` cannot."""
    return not multiprocessing.current_process().daemon


def processes_expected() -> bool:
    """Whether worker processes are appropriate by default.

    Not in a process that is itself one of several workers, and not inside another program, where
    ``sys.executable`` is not Python and running it would start that program again.
    """
    alone = multiprocessing.parent_process() is None
    frozen = getattr(sys, "frozen", False)
    return alone and not frozen and "python" in Path(sys.executable or "").stem.lower()


def processes_pay(
    pairs: list[Any], threads: int, total: int | None, common: dict[str, Any], warm: bool
) -> bool:
    """Whether processes save more time than their start takes, as far as known.

    Parameters
    ----------
    pairs : list
        The first pairs of the batch.
    threads : int
        Number of processes.
    total : int or None
        Total number of pairs, if known.
    common : dict
        Arguments of ``solve`` for all pairs.
    warm : bool
        Whether the processes are already running.

    Examples
    --------
    >>> import numpy as np
    >>> pairs = [(np.ones((64, 64)), np.ones((64, 64)))] * 2
    >>> processes_pay(pairs, 1, 100, {}, warm=False)
    False
    """
    if threads == 1 or common.get("callback") is not None or not processes_expected():
        return False
    many = total is not None and total >= LEAST_FOR_PROCESSES
    return (
        (many or (warm and len(pairs) > 1))
        and all(map(_is_small, pairs))
        and _can_be_pickled(common)
    )


def chosen_pool(
    function: str, processes: int | None, pairs: list[Any], most: int, total: int | None,
    common: dict[str, Any],
) -> WorkerPool | None:  # fmt: skip
    """Worker processes for a batch; None for threads.

    Parameters
    ----------
    function : str
        Name for the messages.
    processes : int or None
        Requested number; None to decide by :func:`processes_pay`.
    pairs, total, common
        As for :func:`processes_pay`.
    most : int
        Largest number of pairs in parallel.
    """
    warm = has_warm_pool(most)
    if processes is None and not processes_pay(pairs, most, total, common, warm):
        return None
    if processes == 0:
        return None
    if not processes_possible():
        logger.info("%s: a process of multiprocessing.Pool cannot have others; threads", function)
        return None
    return acquire_pool(most if warm else max(1, min(most, len(pairs))))


def _is_small(pair: Any) -> bool:
    try:
        return as_pair_task(pair, 0, "").is_small
    except InputError:
        return True  # no start-up time


def _can_be_pickled(arguments: dict[str, Any]) -> bool:
    try:
        return bool(pickled(arguments))
    except InputError:
        return False
