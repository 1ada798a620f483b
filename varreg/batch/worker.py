"""Code of a worker process: start, end, and one pair."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import threading
import time
from typing import Any

from ..api import solve
from ..optimise.history import Iteration
from ..options.backend_choice import chosen_backend
from ..results.result import Result

_cancelled: Any = None


class CancelledPair(Exception):
    """Ends a pair whose result is no longer required."""


def initialise(owner: int, cancelled: Any) -> None:
    """Initialisation of every worker, with the imports, while its owner continues.

    Parameters
    ----------
    owner : int
        Process id of its owner.
    cancelled : semaphore
        Above 0 when the running pairs are cancelled.
    """
    global _cancelled
    _cancelled = cancelled
    follow(owner)
    chosen_backend("numba")


def follow(owner: int) -> None:
    """End this process with its owner, which handles the Ctrl-C of a terminal.

    Parameters
    ----------
    owner : int
        Id of the process that started this one.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_exit_after, args=(owner,), daemon=True).start()


def _exit_after(owner: int) -> None:
    """Wait for the end of the owner, however it ends, then exit."""
    while os.getppid() == owner:
        time.sleep(1.0)
    os._exit(1)


def solve_pickled(folder: str | None, common: bytes, arguments: bytes) -> Result:
    """Solve a pair whose arguments were sent.

    Parameters
    ----------
    folder : str or None
        Base folder of relative paths.
    common, arguments : bytes
        Arguments of ``solve`` for all pairs and for this one, :func:`varreg.batch.processes.pickled`.

    Returns
    -------
    Result
        Without the images that were sent: copies would waste time and memory.
    """
    if folder is not None:
        os.chdir(folder)
    _raise_if_cancelled()
    settings = {**pickle.loads(common), **pickle.loads(arguments)}
    result = solve(**settings, callback=_raise_if_cancelled, progress=False)
    sent = (name for name in ("moving", "fixed") if getattr(result, name) is settings[name])
    absent: dict[str, Any] = dict.fromkeys(sent)
    return dataclasses.replace(result, **absent)


def _raise_if_cancelled(_: Iteration | None = None) -> None:
    # acquired and released, because no lock may remain held by a killed worker
    if _cancelled.acquire(False):
        _cancelled.release()
        raise CancelledPair
