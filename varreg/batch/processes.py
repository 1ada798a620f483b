"""Pool of worker processes for small pairs, kept between calls, and ended with its owner.

A large part of the time of a small pair is Python code, which runs one thread at a time.  Starting a worker takes
seconds, mostly for imports and compiled kernels, so that one pool is kept between calls.  The
processes are those of :class:`loky.ProcessPoolExecutor`.  Its reusable executor is shared by all calls of a
thread: a second simultaneous batch would resize it, wait for the first, and be cancelled
with it.  Here each batch has exclusive use of a pool, and releases it at the end.
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

#: Seconds after which an idle worker ends.
IDLE_TIMEOUT = 300.0
#: Seconds for cancelled pairs to end, before their workers are killed.
CANCEL_TIMEOUT = 5.0
#: The idle pool, by process: a forked process cannot use the workers of its parent, and
#: must not release them either, because the parent would be notified of their end.
_idle_pools: dict[int, WorkerPool] = {}


def acquire_pool(size: int) -> WorkerPool:
    """Worker processes for one batch, reserved until it releases them.

    Parameters
    ----------
    size : int
        Number of workers.

    Returns
    -------
    WorkerPool
        The pool released last if it has this size and still runs, otherwise a new one, not yet started.

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
    """End the idle workers, if there are any."""
    pool = _idle_pools.pop(os.getpid(), None)
    if pool is not None:
        pool.shutdown()


def pickled(arguments: dict[str, Any]) -> bytes:
    """Serialised arguments of ``solve`` for a worker.

    Raises
    ------
    InputError
        If an argument exists in this process only, such as an open file.
    """
    try:
        return bytes(cloudpickle.dumps(arguments))
    except Exception as error:  # any exception of a class's pickling
        raise InputError(
            f"an argument cannot be sent to a worker process ({type(error).__name__}: {error}); "
            "give arrays, paths or varreg.Image, or stay in this process with processes=0."
        ) from error


class WorkerPool:
    """Worker processes that solve pairs.

    Parameters
    ----------
    size : int
        Number of workers.
    """

    def __init__(self, size: int) -> None:
        self.size, self._owner, self._released = size, os.getpid(), -float("inf")
        self._futures = weakref.WeakSet[Future[Result]]()
        self._executor: Any = None
        self._cancelled: Any = None  # a semaphore, the only signal to a worker within a pair
        # all calls to the executor take place in one thread: Ctrl-C, which Python raises in the
        # main thread at any point, then never interrupts them
        self._manager = ThreadPoolExecutor(1, "varreg-workers")

    def start(self) -> None:
        """Start the workers unless they are running; does not wait until they are ready.

        The caller must release them in any case.

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

        context = get_context("loky")  # neither forks nor runs the user's script again
        self._cancelled = context.Semaphore(0)
        self._executor = ProcessPoolExecutor(
            self.size,
            timeout=IDLE_TIMEOUT,
            context=context,
            initializer=initialise,
            initargs=(self._owner, self._cancelled),
        )
        _block_interrupts()
        self._executor.submit(int)  # start the processes now rather than with the first pair

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
            Arguments of this pair, which take precedence.

        Returns
        -------
        Future of Result
            Without the images that were sent, which the caller still has.

        Raises
        ------
        InputError
            If the arguments cannot be sent.
        """
        call = (solve_pickled, _working_folder(), common, pickled(arguments))
        return self._manager.submit(self._submit, *call).result()

    def _submit(self, *call: Any) -> Future[Result]:
        try:
            future: Future[Result] = self._executor.submit(*call)
        except BrokenProcessPool:  # a dead worker ends the others and the running pairs
            self._start()
            future = self._executor.submit(*call)
        self._futures.add(future)
        return future

    def release(self) -> None:
        """Cancel the running pairs, and keep the workers for the next batch."""
        if os.getpid() != self._owner:  # inherited by a fork during a batch
            return
        is_idle = False
        try:
            is_idle = self._manager.submit(self._cancel).result()
        finally:
            if not is_idle and self._executor is not None:  # or interrupted while waiting
                self._executor.shutdown(wait=True, kill_workers=True)
        if not is_idle:
            return
        self._released = time.monotonic()
        if _idle_pools.setdefault(self._owner, self) is not self:
            self.shutdown()

    def _cancel(self) -> bool:
        """Cancel the running pairs; returns whether the workers are then idle."""
        if self._executor is None:
            return False
        running = {future for future in self._futures if not future.done()}
        if running:
            self._cancelled.release()
            running = wait(running, CANCEL_TIMEOUT).not_done
            self._cancelled.acquire(False)
        return not running

    def shutdown(self) -> None:
        """End the workers, without waiting."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)


def _block_interrupts() -> None:
    """Shield processes and threads started from this thread from the Ctrl-C of a terminal, which is sent to
    all its processes: the calling process handles it, and idle workers must survive it.
    """
    if hasattr(signal, "pthread_sigmask"):
        from multiprocessing import resource_tracker

        resource_tracker.ensure_running()  # starting it later would unblock interrupts
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _working_folder() -> str | None:
    """Base folder of relative paths; workers outlive a change of it."""
    try:
        return os.getcwd()
    except OSError:  # it has been removed
        return None
