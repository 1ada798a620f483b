"""Parallel execution of pairs, in threads or in worker processes."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ..api import solve
from ..errors import InputError, VarregError
from ..images.image import Image
from ..optimise.history import Iteration
from ..results.result import Result
from .pair import SMALL, PairTask, as_pair_task, located
from .processes import WorkerPool, pickled
from .worker import CancelledPair

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PairFuture:
    """Result of a pair that is being computed.

    Parameters
    ----------
    label : str
        Position and names of the pair; "" if its error message already contains the position.
    future : Future
    images : dict
        Images in memory that were sent to a worker process, from which they are not returned.
    """

    label: str
    future: Future[Result]
    images: dict[str, Image] = field(default_factory=dict)

    def result(self, errors: str = "raise") -> Any:
        """The result, after waiting for it.

        Parameters
        ----------
        errors : {"raise", "return"}
            Whether to raise or return an error of the pair.
        """
        error = self.future.exception()
        if error is None:
            result = self.future.result()
            absent: dict[str, Any] = {
                name: image for name, image in self.images.items() if getattr(result, name) is None
            }
            return dataclasses.replace(result, **absent) if absent else result
        if isinstance(error, BrokenProcessPool):
            error = _worker_ended(error)
        if errors == "return" and isinstance(error, Exception):
            return error
        raise located(error, self.label) if self.label else error


class BatchExecutor:
    """Executor by threads, or by the processes of `pool`; a context manager.

    Parameters
    ----------
    function : str
        Name for the messages.
    common : dict
        Arguments of ``solve`` for all pairs.
    kernels : module
        The backend.
    threads, workers : int
        Number of threads for all pairs, and number of pairs in parallel.
    pool : WorkerPool or None
        Worker processes, if any; released at the end.
    require_processes : bool
        Whether a pair that cannot be sent to a worker is an error; otherwise it is solved here.
    """

    def __init__(
        self,
        function: str,
        common: dict[str, Any],
        kernels: ModuleType,
        threads: int,
        workers: int,
        pool: WorkerPool | None = None,
        require_processes: bool = False,
    ) -> None:
        self._function, self._common, self._kernels = function, common, kernels
        self._threads, self._threads_per_pair = threads, max(1, threads // workers)
        self._pool, self._require_processes = pool, require_processes
        self._cancelled, self._small_pairs = threading.Event(), threading.Lock()
        together = getattr(kernels, "together", None)  # batched evaluation on a device
        self._together: Callable[[], AbstractContextManager[None]] | None = together and together()
        self._executor = ThreadPoolExecutor(workers, "varreg-batch")
        self._kernels_used = pool is None or pool.is_warm

    def __enter__(self) -> BatchExecutor:
        try:
            if self._pool is not None:
                self._start(self._pool)
        except BaseException:
            self.shutdown()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()

    def submit(self, position: int, pair: Any) -> PairFuture:
        """Start a pair; with threads it is kept only until it is solved."""
        try:
            task = as_pair_task(pair, position, self._function)
        except InputError as error:
            return PairFuture("", _failed(error))
        if not self._is_compiled_for(task):
            return PairFuture(task.label, self._solved_here(task))
        if self._pool is not None:
            return self._submit_to_process(self._pool, task)
        return PairFuture(
            task.label, self._executor.submit(self._solve, task, self._threads_per_pair)
        )

    def shutdown(self) -> None:
        """Cancel the running pairs."""
        self._cancelled.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self._pool is not None:
            self._pool.release()

    def _start(self, pool: WorkerPool) -> None:
        common = {key: value for key, value in self._common.items() if key != "callback"}
        self._pickled = pickled({**common, "threads": self._threads_per_pair})
        try:
            pool.start()
        except Exception as error:  # no semaphores, no memory, no permission, ...
            level = logging.WARNING if self._require_processes else logging.INFO
            message = "%s: worker processes cannot be started (%s: %s); threads are used"
            logger.log(level, message, self._function, type(error).__name__, error)
            self._pool = None

    def _is_compiled_for(self, task: PairTask) -> bool:
        """Whether workers would find all kernels compiled; otherwise this thread compiles them once for all."""
        compiled: Callable[[], bool] | None = getattr(self._kernels, "is_compiled", None)
        if compiled is not None and not compiled():
            return False
        # the first pair may need further kernels, and is solved here while the workers
        # start; but serial execution of large pairs would take long
        return self._kernels_used or (task.voxels or 0) >= SMALL

    def _solved_here(self, task: PairTask) -> Future[Result]:
        """Solve a pair in this thread, before the next one starts."""
        future: Future[Result] = Future()
        try:
            future.set_result(self._solve(task, self._threads))
            self._kernels_used = True
        except Exception as error:
            future.set_exception(error)
        return future

    def _submit_to_process(self, pool: WorkerPool, task: PairTask) -> PairFuture:
        try:
            images = task.images_in_memory()
        except Exception:  # solve reports the error, in its order of validation
            return PairFuture(task.label, self._solved_here(task))
        try:
            future = pool.submit(self._pickled, {**task.arguments, **images})
        except InputError as error:
            refused = self._require_processes
            return PairFuture(task.label, _failed(error) if refused else self._solved_here(task))
        return PairFuture(task.label, future, images)

    def _solve(self, task: PairTask, threads: int) -> Result:
        settings = {**self._common, **task.arguments}
        settings["callback"] = self._cancellable(settings.get("callback"))
        with self._beside_others(task):
            return solve(**settings, threads=threads, progress=False)

    def _beside_others(self, task: PairTask) -> AbstractContextManager[Any]:
        """Context for one of several parallel pairs: batched, one small pair at a time, or independent."""
        if self._together is not None:
            return self._together()
        return self._small_pairs if task.is_small else nullcontext()

    def _cancellable(
        self, callback: Callable[[Iteration], None] | None
    ) -> Callable[[Iteration], None]:
        """A callback that ends the pair after a step if it has been cancelled."""

        def observe(iteration: Iteration) -> None:
            if self._cancelled.is_set():
                raise CancelledPair
            if callback is not None:
                callback(iteration)

        return observe


def _failed(error: Exception) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_exception(error)
    return future


def _worker_ended(cause: BaseException) -> VarregError:
    """Error of one pair, from the error shared by all pairs of the ended workers."""
    error = VarregError(
        "varreg.solve: a worker process ended while this pair was being processed or about to be: "
        "killed from outside, perhaps because memory ran out. Solve it again with fewer "
        "`processes` (or `threads`), or with processes=0."
    )
    error.__cause__ = cause
    return error
