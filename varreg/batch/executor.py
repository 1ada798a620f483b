"""Executor of pairs: several at a time, in threads or in worker processes."""

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
    """Result of a pair that is being solved.

    Parameters
    ----------
    label : str
        Position and names of the pair; "" if the message of its error has the position already.
    future : Future
    images : dict
        Images of the pair that went to a worker process and do not come back from there.
    """

    label: str
    future: Future[Result]
    images: dict[str, Image] = field(default_factory=dict)

    def result(self, errors: str = "raise") -> Any:
        """The result, once it is there.

        Parameters
        ----------
        errors : {"raise", "return"}
            What is done with an error of the pair.
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
    """Executor in threads, or in the processes of `pool`; a context manager.

    Parameters
    ----------
    function : str
        Name for the messages.
    common : dict
        Arguments of ``solve`` for all pairs.
    kernels : module
        The backend.
    threads, workers : int
        Threads for all pairs, and how many pairs are solved at a time.
    pool : WorkerPool or None
        The worker processes, if any; released at the end.
    require_processes : bool
        Whether a pair that cannot be sent to a worker is an error rather than solved here.
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
        together = getattr(kernels, "together", None)  # on a device the evaluations of all pairs
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
        """Begin a pair; for threads it is kept only until it is solved."""
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
        """Cancel the pairs under way."""
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
        """Whether workers would find all kernels compiled: else this thread does it, once for all."""
        compiled: Callable[[], bool] | None = getattr(self._kernels, "is_compiled", None)
        if compiled is not None and not compiled():
            return False
        # the first pair may need kernels that none before has needed, and is solved while the workers
        # start; but one pair after the other takes long where they are known to be large
        return self._kernels_used or (task.voxels or 0) >= SMALL

    def _solved_here(self, task: PairTask) -> Future[Result]:
        """A pair solved in this thread, before the next one is begun."""
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
        except Exception:  # solve says what is wrong with them, in its own order
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
        """A context for one of several pairs: together, one small pair at a time, or each on its own."""
        if self._together is not None:
            return self._together()
        return self._small_pairs if task.is_small else nullcontext()

    def _cancellable(
        self, callback: Callable[[Iteration], None] | None
    ) -> Callable[[Iteration], None]:
        """A callback after whose step the pair ends if it has been cancelled."""

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
    """Error of one pair, for the error that all pairs share whose workers ended."""
    error = VarregError(
        "varreg.solve: a worker process ended while this pair was being processed or about to be: "
        "killed from outside, perhaps because memory ran out. Solve it again with fewer "
        "`processes` (or `threads`), or with processes=0."
    )
    error.__cause__ = cause
    return error
