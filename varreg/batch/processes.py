"""Pool of worker processes for small pairs: warm between calls, gone with the process it serves.

Much of a small pair is Python, which runs one thread at a time in a process.  Starting a worker takes
seconds, most of them for imports and compiled kernels, so one pool stays between the calls.  The
processes are those of :class:`loky.ProcessPoolExecutor`.  Its reusable executor is one for all that a
thread does: a second batch at the same time would resize it, wait for the first, and be cancelled
with it.  Here a batch has its pool for itself, and hands it on when it ends.
"""

from __future__ import annotations

import os
import signal
import time
import weakref
from concurrent.futures import Future, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import cloudpickle

from ..errors import InputError
from ..results.result import Result
from .worker import initialise, solve_pickled

#: Seconds after which a worker without work ends.
IDLE_TIMEOUT = 300.0
#: Seconds that cancelled pairs have for ending, before their workers are killed.
CANCEL_TIMEOUT = 5.0
#: The pool between two calls, by process: a forked process cannot use the workers of its parent, and
#: must not let go of them either, because their end would be announced to the parent.
_idle_pools: dict[int, WorkerPool] = {}


def acquire_pool(size: int) -> WorkerPool:
    """Worker processes for one batch, which has them for itself until it releases them.

    Parameters
    ----------
    size : int
        How many.

    Returns
    -------
    WorkerPool
        The one released last if it has this size and still runs, else one that has yet to start.

    Examples
    --------
    >>> acquire_pool(2).size
    2
    """
    pool = _idle_pools.pop(os.getpid(), None)
    if pool is not None and pool.size == size and pool.is_warm:
        return pool
    if pool is not None:
        pool.shutdown()
    return WorkerPool(size)


def has_warm_pool(size: int) -> bool:
    """Whether :func:`acquire_pool` returns running workers."""
    pool = _idle_pools.get(os.getpid())
    return pool is not None and pool.size == size and pool.is_warm


def shutdown_idle_pool() -> None:
    """End of the workers that wait for the next batch, if there are any."""
    pool = _idle_pools.pop(os.getpid(), None)
    if pool is not None:
        pool.shutdown()


def pickled(arguments: dict[str, Any]) -> bytes:
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


class WorkerPool:
    """Worker processes that solve pairs.

    Parameters
    ----------
    size : int
        How many.
    """

    def __init__(self, size: int) -> None:
        self.size, self._owner, self._released = size, os.getpid(), -float("inf")
        self._futures = weakref.WeakSet[Future[Result]]()
        self._executor: Any = None
        self._cancelled: Any = None  # a semaphore, the only thing that reaches workers amid a pair
        # all dealings with the workers take place in one thread: Ctrl-C, which Python raises in the
        # main thread wherever that is, then never leaves them half done
        self._manager = ThreadPoolExecutor(1, "varreg-workers")

    def start(self) -> None:
        """Start the workers unless they run already; does not wait until they are ready.

        The caller that starts them must release them in any case.

        Raises
        ------
        Exception
            If the system refuses, e.g. because it has no semaphores.
        """
        if self._executor is None:
            self._manager.submit(self._start).result()

    def _start(self) -> None:
        from loky import ProcessPoolExecutor
        from loky.backend import get_context

        context = get_context("loky")  # neither forks nor runs the script of the user again
        self._cancelled = context.Semaphore(0)
        self._executor = ProcessPoolExecutor(
            self.size,
            timeout=IDLE_TIMEOUT,
            context=context,
            initializer=initialise,
            initargs=(self._owner, self._cancelled),
        )
        _block_interrupts()
        self._executor.submit(int)  # the processes start now rather than with the first pair

    @property
    def is_warm(self) -> bool:
        """Whether its workers have solved pairs, and still run."""
        return time.monotonic() - self._released < IDLE_TIMEOUT

    def submit(self, common: bytes, arguments: dict[str, Any]) -> Future[Result]:
        """Solve a pair in a worker.

        Parameters
        ----------
        common : bytes
            Arguments of ``solve`` for all pairs, :func:`pickled`.
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
        call = (solve_pickled, _working_folder(), common, pickled(arguments))
        return self._manager.submit(self._submit, *call).result()

    def _submit(self, *call: Any) -> Future[Result]:
        try:
            future: Future[Result] = self._executor.submit(*call)
        except BrokenProcessPool:  # a worker died, which ended the others and the pairs under way
            self._start()
            future = self._executor.submit(*call)
        self._futures.add(future)
        return future

    def release(self) -> None:
        """Cancel the pairs under way, and keep the workers for the next batch."""
        if os.getpid() != self._owner:  # inherited amid a batch by a fork
            return
        is_idle = False
        try:
            is_idle = self._manager.submit(self._cancel).result()
        finally:
            if not is_idle and self._executor is not None:  # or interrupted while waiting for it
                self._executor.shutdown(wait=True, kill_workers=True)
        if not is_idle:
            return
        self._released = time.monotonic()
        if _idle_pools.setdefault(self._owner, self) is not self:
            self.shutdown()

    def _cancel(self) -> bool:
        """Cancel the pairs under way; whether the workers are free for others then."""
        if self._executor is None:
            return False
        running = {future for future in self._futures if not future.done()}
        if running:
            self._cancelled.release()
            running = wait(running, CANCEL_TIMEOUT).not_done
            self._cancelled.acquire(False)
        return not running

    def shutdown(self) -> None:
        """Let the workers go, without waiting for it."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)


def _block_interrupts() -> None:
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
