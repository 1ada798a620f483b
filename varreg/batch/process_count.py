"""Number of worker processes of a batch: whether they can be had, and whether they pay."""

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

#: Small pairs that pay for starting worker processes: the seconds that a core needs for as many.
LEAST_FOR_PROCESSES = 48


def processes_possible() -> bool:
    """Whether this process can have worker processes: those of ``multiprocessing.Pool`` cannot."""
    return not multiprocessing.current_process().daemon


def processes_expected() -> bool:
    """Whether worker processes are appropriate by default.

    Not in a process that is itself one of several workers, and not inside another program, where
    ``sys.executable`` is not Python and to run it would start that program again.
    """
    alone = multiprocessing.parent_process() is None
    frozen = getattr(sys, "frozen", False)
    return alone and not frozen and "python" in Path(sys.executable or "").stem.lower()


def processes_pay(
    pairs: list[Any], threads: int, total: int | None, common: dict[str, Any], warm: bool
) -> bool:
    """Whether processes gain more than starting them takes, as far as that is known.

    Parameters
    ----------
    pairs : list
        The first pairs of the batch.
    threads : int
        As many processes would be used.
    total : int or None
        Number of pairs altogether, if that is known.
    common : dict
        Arguments of ``solve`` for all pairs.
    warm : bool
        Whether the processes run already.

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
        What was asked for; None leaves it to :func:`processes_pay`.
    pairs, total, common
        As for :func:`processes_pay`.
    most : int
        Pairs at a time, if there are as many.
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
        return True  # which takes no time at all


def _can_be_pickled(arguments: dict[str, Any]) -> bool:
    try:
        return bool(pickled(arguments))
    except InputError:
        return False
