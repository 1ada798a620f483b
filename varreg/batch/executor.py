"""How pairs of a batch are solved several at a time: in threads, or in worker processes."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from ..api import solve
from ..errors import InputError, VarregError
from ..images.accepted import as_image
from ..images.image import Image
from ..optimise.history import Iteration
from ..results.result import Result
from .pair import as_job, located
from .processes import Pool, packed

logger = logging.getLogger(__name__)

#: With fewer voxels than this, much of the time of a pair is Python, which runs one thread at a time:
#: two such pairs in two threads take longer than one after the other.
SMALL = 2**17


@dataclass(frozen=True)
class Pending:
    """A pair that is being solved.

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

    def outcome(self, errors: str) -> Any:
        """The result, or its error in the way that was asked for; waits for it."""
        error = self.future.exception()
        if error is None:
            result = self.future.result()
            absent: dict[str, Any] = {
                name: image for name, image in self.images.items() if getattr(result, name) is None
            }
            return dataclasses.replace(result, **absent) if absent else result
        if isinstance(error, BrokenProcessPool):
            error = _ended(error)
        if errors == "return" and isinstance(error, Exception):
            return error
        raise located(error, self.label) if self.label else error


def _ended(cause: BaseException) -> VarregError:
    """Of one pair, for the error that all pairs share whose workers ended."""
    error = VarregError(
        "varreg.solve: a worker process ended while this pair was in its hands or about to be: "
        "killed from outside, perhaps because memory ran out. Solve it again with fewer "
        "`processes` (or `threads`), or with processes=0."
    )
    error.__cause__ = cause
    return error


class _Cancelled(Exception):
    """Ends a pair whose result nobody waits for any more."""


@dataclass
class Work:
    """Begins pairs, in threads or in the processes of `pool`.

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
    pool : Pool or None
        The worker processes, if any.
    insists : bool
        Whether a pair that cannot be sent to a worker is an error rather than solved here.
    """

    function: str
    common: dict[str, Any]
    kernels: ModuleType
    threads: int
    workers: int
    pool: Pool | None
    insists: bool

    def __post_init__(self) -> None:
        self._stop, self._turn = threading.Event(), threading.Lock()
        self._executor = ThreadPoolExecutor(self.workers, "varreg-batch")
        self._share = max(1, self.threads // self.workers)
        self._rehearsed = self.pool is None or self.pool.is_warm

    def open(self) -> None:
        """Start what is needed; from here on :meth:`end` must be called."""
        if self.pool is None:
            return
        common = {key: value for key, value in self.common.items() if key != "callback"}
        self._packed = packed({**common, "threads": self._share})
        try:
            self.pool.start()
        except Exception as error:  # no semaphores, no memory, no permission, ...
            level = logging.WARNING if self.insists else logging.INFO
            message = "%s: worker processes cannot be started (%s: %s); threads are used"
            logger.log(level, message, self.function, type(error).__name__, error)
            self.pool = None

    def begin(self, position: int, pair: Any) -> Pending:
        """Begin a pair; for threads it is kept only until it is solved."""
        try:
            job = as_job(pair, position, self.function)
        except InputError as error:
            return Pending("", _failed(error))
        if not self._is_ready(job.arguments):
            return Pending(job.label, self._at_once(job.arguments))
        if self.pool is not None:
            return self._sent(self.pool, job.label, job.arguments)
        future = self._executor.submit(self._solve, job.arguments, self._share)
        return Pending(job.label, future)

    def end(self) -> None:
        """Give up what is still being computed."""
        self._stop.set()
        self._executor.shutdown(wait=True, cancel_futures=True)
        if self.pool is not None:
            self.pool.release()

    def _is_ready(self, arguments: dict[str, Any]) -> bool:
        """Whether workers would find all kernels compiled: else this thread does it, once for all."""
        compiled: Callable[[], bool] | None = getattr(self.kernels, "is_compiled", None)
        if compiled is not None and not compiled():
            return False
        # the first pair may need kernels that none before has needed, and is solved while the workers
        # start; but one pair after the other takes long where they are known to be large
        return self._rehearsed or (voxel_count(arguments["fixed"]) or 0) >= SMALL

    def _at_once(self, arguments: dict[str, Any]) -> Future[Result]:
        future: Future[Result] = Future()
        try:
            future.set_result(self._solve(arguments, self.threads))
            self._rehearsed = True
        except Exception as error:
            future.set_exception(error)
        return future

    def _sent(self, pool: Pool, label: str, arguments: dict[str, Any]) -> Pending:
        try:
            images = images_in_memory(arguments)
        except Exception:  # solve says what is wrong with them, in its own order
            return Pending(label, self._at_once(arguments))
        try:
            future = pool.submit(self._packed, {**arguments, **images})
        except InputError as error:
            return Pending(label, _failed(error) if self.insists else self._at_once(arguments))
        return Pending(label, future, images)

    def _solve(self, arguments: dict[str, Any], threads: int) -> Result:
        settings = {**self.common, **arguments}
        settings["callback"] = self._heeding(settings.get("callback"))
        with self._turn if is_small(settings["fixed"]) else nullcontext():
            return solve(**settings, threads=threads, progress=False)

    def _heeding(self, callback: Callable[[Iteration], None] | None) -> Callable[[Iteration], None]:
        """What is told of every step, which is also where a pair can be cancelled."""

        def observe(iteration: Iteration) -> None:
            if self._stop.is_set():
                raise _Cancelled
            if callback is not None:
                callback(iteration)

        return observe


def images_in_memory(arguments: dict[str, Any]) -> dict[str, Image]:
    """The images of a pair that are not files, as :class:`varreg.Image`.

    An Image can be pickled whatever it was made of, and keeps the name of its file.

    Raises
    ------
    Exception
        If one of them is no image; as :func:`varreg.images.accepted.as_image`.
    """
    return {
        name: as_image(arguments[name], argument=name)
        for name in ("moving", "fixed")
        if not isinstance(arguments[name], (str, os.PathLike))
    }


def voxel_count(image: Any) -> int | None:
    """How many voxels an image has; None for a file, which is not opened just to know."""
    shape = getattr(image.data if isinstance(image, Image) else image, "shape", None)
    return None if shape is None else math.prod(shape)


def is_small(image: Any) -> bool:
    """Whether an image is known to be small.

    Examples
    --------
    >>> import numpy as np
    >>> is_small(np.ones((224, 224))), is_small(np.ones((64, 64, 64))), is_small("slice.png")
    (True, False, False)
    """
    voxels = voxel_count(image)
    return voxels is not None and voxels < SMALL


def _failed(error: Exception) -> Future[Result]:
    future: Future[Result] = Future()
    future.set_exception(error)
    return future
