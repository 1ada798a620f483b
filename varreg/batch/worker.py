"""What runs in a worker process of :mod:`varreg.batch.processes`."""

from __future__ import annotations

import dataclasses
import os
import pickle
import signal
import threading
from typing import Any

from ..api import solve
from ..optimise.history import Iteration
from ..results.result import Result
from ..stages.arguments import backend_module

_stop: Any = None


class _Cancelled(Exception):
    """Ends a pair whose result nobody waits for any more."""


def prepare(owner: int, stop: Any, gone: Any) -> None:
    """First in every worker; the imports take place while its owner does something else.

    Parameters
    ----------
    owner : int
        The process that it works for.
    stop, gone : semaphore
        Above 0 when the pair under way, or the whole worker, is no longer wanted.
    """
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(owner, gone), daemon=True).start()
    backend_module("numba")


def _end_with(owner: int, gone: Any) -> None:
    """End this process with its owner, however that ended, or when it is no longer wanted."""
    while os.getppid() == owner:
        if gone.acquire(True, 1.0):
            gone.release()  # for the other workers
            break
    os._exit(1)


def solve_sent(folder: str | None, common: bytes, arguments: bytes) -> Result:
    """Solve a pair.

    Parameters
    ----------
    folder : str or None
        What relative paths count from.
    common, arguments : bytes
        Arguments of ``solve`` for all pairs and for this one, :func:`varreg.batch.processes.packed`.

    Returns
    -------
    Result
        Without the images that were sent: copies of them would only take time and memory.
    """
    if folder is not None:
        os.chdir(folder)
    _heed_stop()
    settings = {**pickle.loads(common), **pickle.loads(arguments)}
    result = solve(**settings, callback=_heed_stop, progress=False)
    sent = (name for name in ("moving", "fixed") if getattr(result, name) is settings[name])
    absent: dict[str, Any] = dict.fromkeys(sent)
    return dataclasses.replace(result, **absent)


def _heed_stop(_: Iteration | None = None) -> None:
    # taken and given back, because no lock may stay behind in a worker that is killed
    if _stop.acquire(False):
        _stop.release()
        raise _Cancelled
