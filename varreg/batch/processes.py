"""Worker processes for batches of small pairs: warm between calls, gone with the process they serve.

Much of a small pair is Python, which runs one thread at a time in a process.  Starting a worker takes
seconds, most of them for imports and compiled kernels, so one pool stays between the calls.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import cloudpickle

from ..errors import InputError
from ..results.result import Result
from .worker import prepare, solve_sent

#: Seconds after which a worker without work ends.
IDLE = 300.0
#: Seconds that a pair nobody waits for may take to notice, before its worker is killed.
PATIENCE = 5.0
#: The pool between two calls, by process: a forked process cannot use the workers of its parent, and
#: must not let go of them either, because their end would be announced to the parent.
_idle: dict[int, Pool] = {}


def take_pool(size: int) -> Pool:
    """Worker processes for one batch, which has them for itself until it releases them.

    Parameters
    ----------
    size : int
        How many.

    Returns
    -------
    Pool
        The one released last if it has this size and still runs, else one that has yet to start.

    Examples
    --------
    >>> take_pool(2).size
    2
    """
    pool = _idle.pop(os.getpid(), None)
    if pool is not None and pool.size == size and pool.is_warm:
        return pool
    if pool is not None:
        pool.end()
    return Pool(size)


def has_warm_pool(size: int) -> bool:
    """Whether :func:`take_pool` has not to start anything."""
    pool = _idle.get(os.getpid())
    return pool is not None and pool.size == size and pool.is_warm


def may_start() -> bool:
    """Whether this process can have worker processes: those of ``multiprocessing.Pool`` cannot."""
    return not multiprocessing.current_process().daemon


def should_start() -> bool:
    """Whether worker processes are in place though nobody asked for them.

    Not in a process that is itself one of several workers, and not inside another program, where
    ``sys.executable`` is not Python and to run it would start that program again.
    """
    alone = multiprocessing.parent_process() is None
    frozen = getattr(sys, "frozen", False)
    return alone and not frozen and "python" in Path(sys.executable or "").stem.lower()


def packed(arguments: dict[str, Any]) -> bytes:
    """Arguments of ``solve`` as they are sent to a worker.

    Raises
    ------
    InputError
        If something among them exists in this process only, such as an open file.
    """
    try:
        return bytes(cloudpickle.dumps(arguments))
    except Exception as error:  # every class fails in its own way
        raise InputError(
            f"an argument cannot be sent to a worker process ({type(error).__name__}: {error}); "
            "give arrays, paths or varreg.Image, or stay in this process with processes=0."
        ) from error


def can_be_packed(arguments: dict[str, Any]) -> bool:
    """Whether :func:`packed` takes them."""
    try:
        return bool(packed(arguments))
    except InputError:
        return False


class Pool:
    """Worker processes that solve pairs.

    Parameters
    ----------
    size : int
        How many.
    """

    def __init__(self, size: int) -> None:
        self.size, self._owner, self._released = size, os.getpid(), -float("inf")
        self._under_way = weakref.WeakSet[Future[Result]]()
        self._executor: Any = None
        self._stop: Any = None  # semaphores, the only thing that reaches workers amid their work:
        self._gone: Any = None  # give up this pair; end
        # all dealings with the workers take place in one thread: Ctrl-C, which Python raises in the
        # main thread wherever that is, then never leaves them half done
        self._clerk = ThreadPoolExecutor(1, "varreg-workers")

    def start(self) -> None:
        """Start the workers unless they run already; does not wait until they are ready.

        Whoever starts them releases them, whatever happens.

        Raises
        ------
        Exception
            If the system refuses, e.g. because it has no semaphores.
        """
        if self._executor is None:
            self._clerk.submit(self._begin).result()

    def _begin(self) -> None:
        from loky import ProcessPoolExecutor
        from loky.backend import get_context

        context = get_context("loky")  # neither forks nor runs the script of the user again
        if self._executor is not None:  # of which some worker has died; the others have no use
            self._gone.release()
        self._stop, self._gone = context.Semaphore(0), context.Semaphore(0)
        self._executor = ProcessPoolExecutor(
            self.size,
            timeout=IDLE,
            context=context,
            initializer=prepare,
            initargs=(self._owner, self._stop, self._gone),
        )
        _keep_interrupts_out()
        self._executor.submit(int)  # the processes start now rather than with the first pair

    @property
    def is_warm(self) -> bool:
        """Whether its workers have solved pairs, and still run."""
        return time.monotonic() - self._released < IDLE

    def submit(self, common: bytes, arguments: dict[str, Any]) -> Future[Result]:
        """Solve a pair in a worker.

        Parameters
        ----------
        common : bytes
            Arguments of ``solve`` for all pairs, :func:`packed`.
        arguments : dict
            Those of this pair, which win.

        Returns
        -------
        Future of Result
            Without the images that were sent: they are where they came from.

        Raises
        ------
        InputError
            If they cannot be sent.
        """
        task = (solve_sent, _working_folder(), common, packed(arguments))
        return self._clerk.submit(self._submit, *task).result()

    def _submit(self, *task: Any) -> Future[Result]:
        try:
            future: Future[Result] = self._executor.submit(*task)
        except BrokenProcessPool:  # a worker died; whoever had a pair in there is told so
            self._begin()
            future = self._executor.submit(*task)
        self._under_way.add(future)
        return future

    def release(self) -> None:
        """Keep the workers for the next batch; what they still compute is given up."""
        if os.getpid() != self._owner:  # inherited amid a batch by a fork
            return
        stopped = False
        try:
            stopped = self._clerk.submit(self._give_up).result()
        finally:
            if not stopped and self._executor is not None:  # or interrupted while waiting for it
                self._gone.release()
                self._executor.shutdown(wait=True, kill_workers=True)
        if not stopped:
            return
        self._released = time.monotonic()
        if _idle.setdefault(self._owner, self) is not self:
            self.end()

    def _give_up(self) -> bool:
        """Stop what is still computed; whether the workers can go on with something else."""
        if self._executor is None:
            return False
        late = {future for future in self._under_way if not future.done()}
        if late:
            self._stop.release()
            late = wait(late, PATIENCE).not_done
            self._stop.acquire(False)
        return not late

    def end(self) -> None:
        """Let the workers go, without waiting for it."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)


def _keep_interrupts_out() -> None:
    """Processes and threads begun from this thread never get the Ctrl-C of a terminal, which goes to
    all its processes: it is settled by the one that asked, and idle workers must survive it.
    """
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # to start it later would let them in again
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _working_folder() -> str | None:
    """What relative paths count from; workers outlive a change of it."""
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return None
