"""``solve_batch``: many pairs with the same arguments, several of them at a time."""

from __future__ import annotations

import inspect
import itertools
import math
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from .api import solve
from .arguments import affine_model, affine_starts, backend_module, merged_options, thread_count
from .errors import InputError
from .history import Iteration
from .job import as_job, located
from .problem import LEAST_FOR_THREADS
from .progress import pair_bar
from .result import Result

#: Pairs taken from the source but not yet handed out, per worker: enough that none of them waits.
AHEAD = 2
ERRORS = ("raise", "return")


def solve_batch(
    pairs: Iterable[Any],
    *,
    threads: int | None = None,
    progress: bool | None = None,
    errors: str = "raise",
    **arguments: Any,
) -> list[Result]:
    """Register many pairs of images, several at a time.

    The results have the same bits as those of :func:`varreg.solve` one by one.

    Parameters
    ----------
    pairs : iterable
        Of (moving, fixed), or of dictionaries with the keys ``moving`` and ``fixed`` and, if
        wanted, ``fixed_mask``, ``moving_mask``, ``start`` and ``affine``, which win over what is
        given for all pairs. A generator is asked, in the calling thread, for a few pairs ahead.
    threads : int, optional
        Threads to use, all available by default: one for each pair, or several if there are fewer
        pairs than threads.
    progress : bool, optional
        Whether to show a progress bar over the pairs; by default on a terminal only.
    errors : {"raise", "return"}
        Whether the first error ends everything, or stands in the place of its result.
    **arguments
        What else :func:`varreg.solve` takes, for all pairs: `affine`, `preset`, `options`, single
        fields of :class:`Options`, ... A `callback` is called from several threads.

    Returns
    -------
    list of Result
        In the order of the pairs.

    Raises
    ------
    InputError
        If an argument is unusable; nothing has been computed then.
    Exception
        With ``errors="raise"``, what :func:`varreg.solve` raises of the first pair, in the order of
        `pairs`, that fails; the message begins with its position and its names.

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y = np.mgrid[:48, :48]
    >>> fixed = np.exp(-((x - 22) ** 2 + (y - 25) ** 2) / 90)
    >>> pairs = [(np.roll(fixed, shift, axis=0), fixed) for shift in (1, 3)]
    >>> results = varreg.solve_batch(pairs, affine="translation", deformable=False)
    >>> [round(float(result.displacement[0].mean())) for result in results]
    [1, 3]
    """
    results = _checked("varreg.solve_batch", pairs, threads, progress, errors, arguments)
    with closing(results):
        return list(results)


def iterate_batch(
    pairs: Iterable[Any],
    *,
    threads: int | None = None,
    progress: bool | None = None,
    errors: str = "raise",
    **arguments: Any,
) -> Generator[Result, None, None]:
    """Register many pairs of images; each result can be used and forgotten before the last is there.

    Parameters
    ----------
    pairs, threads, progress, errors, **arguments
        As for :func:`varreg.solve_batch`. At most two pairs per worker are taken from `pairs` before
        their results are asked for.

    Returns
    -------
    generator of Result
        In the order of the pairs. Closing it cancels what is still being computed.

    Raises
    ------
    InputError
        If an argument is unusable; at once, before the first result is asked for.

    Examples
    --------
    >>> import numpy as np, varreg
    >>> x, y = np.mgrid[:48, :48]
    >>> fixed = np.exp(-((x - 22) ** 2 + (y - 25) ** 2) / 90)
    >>> pairs = ((np.roll(fixed, shift, axis=0), fixed) for shift in (1, 3))
    >>> for result in varreg.iterate_batch(pairs, affine="translation", deformable=False):
    ...     print(round(float(result.displacement[0].mean())))
    1
    3
    """
    return _checked("varreg.iterate_batch", pairs, threads, progress, errors, arguments)


def _checked(
    function: str, pairs: Iterable[Any], threads: int | None, progress: bool | None, errors: str,
    arguments: dict[str, Any],
) -> Generator[Result, None, None]:  # fmt: skip
    """The generator of results, once everything that holds for all pairs is known to be usable."""
    if errors not in ERRORS:
        raise InputError(f"{function}: `errors` must be 'raise' or 'return'; got {errors!r}.")
    if not isinstance(pairs, Iterable):
        raise InputError(
            f"{function}: `pairs` must be an iterable of (moving, fixed); got "
            f"{type(pairs).__name__}."
        )
    wanted = thread_count(threads, function)
    common, kernels = _common(arguments)
    if errors == "raise" and isinstance(pairs, Sequence):
        for position, pair in enumerate(pairs):  # found before the work rather than amid it
            as_job(pair, position, function)
    return _results(function, pairs, wanted, progress, errors, common, kernels)


def _common(arguments: dict[str, Any]) -> tuple[dict[str, Any], ModuleType]:
    """The arguments of ``solve`` for all pairs, with one Options, and the backend."""
    taken = inspect.signature(solve).parameters.keys() - {"moving", "fixed", "changes"}
    common = {key: value for key, value in arguments.items() if key in taken}
    changes = {key: value for key, value in arguments.items() if key not in taken}
    options = common.pop("options", None)
    common["options"] = merged_options(options, common.pop("preset", "default"), changes)
    for key, check in (("affine", affine_model), ("start", affine_starts)):
        if isinstance(common.get(key), str):
            check(common[key], 2)  # a name means the same in both dimensions
    return common, backend_module(common.get("backend", "numba"))


def _results(
    function: str, pairs: Iterable[Any], threads: int, progress: bool | None, errors: str,
    common: dict[str, Any], kernels: ModuleType,
) -> Generator[Result, None, None]:  # fmt: skip
    """The results in order; whoever closes this generator cancels the pairs under way."""
    source = iter(pairs)
    first = list(itertools.islice(source, threads))
    workers = max(1, min(threads, len(first)))
    total = len(first) if workers < threads else len(pairs) if isinstance(pairs, Sized) else None
    source = itertools.chain(first, source)
    del first  # nothing here may keep a pair whose result has been handed out
    executor, stop = ThreadPoolExecutor(workers, "varreg-batch"), threading.Event()
    work = _Work(function, common, kernels, stop, executor, threads, workers)
    waiting: deque[tuple[str, Future[Result]]] = deque()
    with pair_bar(total, progress) as shown:

        def next_result() -> Result:
            result = _outcome(*waiting.popleft(), errors)
            shown.update()
            return result

        try:
            for position, pair in enumerate(source):
                waiting.append(work.begin(position, pair))
                if len(waiting) == AHEAD * workers:
                    yield next_result()
            while waiting:
                yield next_result()
        finally:
            stop.set()
            executor.shutdown(wait=True, cancel_futures=True)


def _outcome(label: str, future: Future[Any], errors: str) -> Any:
    """The result of a pair, or its error in the way that was asked for."""
    error = future.exception()
    if error is None:
        return future.result()
    if errors == "return" and isinstance(error, Exception):
        return error
    raise located(error, label) if label else error


class _Cancelled(Exception):
    """Ends a pair whose result nobody waits for any more."""


@dataclass(frozen=True)
class _Work:
    """Begins pairs: in the threads of `executor`, once the kernels are compiled."""

    function: str
    common: dict[str, Any]
    kernels: ModuleType
    stop: threading.Event
    executor: ThreadPoolExecutor
    threads: int
    workers: int
    turn: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, position: int, pair: Any) -> tuple[str, Future[Result]]:
        """Label and future result of a pair; the pair itself is kept only until it is solved."""
        try:
            job = as_job(pair, position, self.function)
        except InputError as error:
            future: Future[Result] = Future()
            future.set_exception(error)
            return "", future  # the message has the position already
        if self._is_compiled():
            share = self.threads // self.workers
            return job.label, self.executor.submit(self._solve, job.arguments, share)
        return job.label, self._at_once(job.arguments)

    def _at_once(self, arguments: dict[str, Any]) -> Future[Result]:
        """In the calling thread, where it alone compiles what all others then use."""
        future: Future[Result] = Future()
        try:
            future.set_result(self._solve(arguments, self.threads))
        except Exception as error:
            future.set_exception(error)
        return future

    def _solve(self, arguments: dict[str, Any], threads: int) -> Result:
        settings = {**self.common, **arguments}
        settings["callback"] = self._heeding(settings.get("callback"))
        # much of a small pair is Python, which runs one thread at a time: two such pairs side by side
        # take longer than one after the other
        turn = self.turn if _is_small(settings["fixed"]) else nullcontext()
        with turn:
            return solve(**settings, threads=threads, progress=False)

    def _heeding(self, callback: Callable[[Iteration], None] | None) -> Callable[[Iteration], None]:
        """What is told of every step, which is also where a pair can be cancelled."""

        def observe(iteration: Iteration) -> None:
            if self.stop.is_set():
                raise _Cancelled
            if callback is not None:
                callback(iteration)

        return observe

    def _is_compiled(self) -> bool:
        ready: Callable[[], bool] | None = getattr(self.kernels, "is_compiled", None)
        return ready is None or ready()


def _is_small(image: Any) -> bool:
    """Whether an image that is in memory has too few voxels for several threads."""
    shape = getattr(image, "shape", None)
    return shape is not None and math.prod(shape) < LEAST_FOR_THREADS
