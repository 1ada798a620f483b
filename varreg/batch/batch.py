"""``solve_batch`` and ``iterate_batch``: parallel registration of many pairs with the same arguments."""

from __future__ import annotations

import inspect
import itertools
from collections import deque
from collections.abc import Generator, Iterable, Sequence, Sized
from contextlib import closing
from types import ModuleType
from typing import Any

import numpy as np

from ..api import solve
from ..errors import InputError
from ..options.backend_choice import chosen_backend
from ..report.progress import count_bar
from ..results.result import Result
from ..stages.arguments import (
    affine_initialisations,
    affine_model,
    merged_options,
    thread_count,
)
from .executor import BatchExecutor, PairFuture
from .pair import as_pair_task
from .pairs_together import PAIRS_TOGETHER, pairs_with_room
from .process_count import chosen_pool
from .processes import pickled

#: Number of pairs per worker that are read ahead, so that no worker waits.
AHEAD = 2
ERRORS = ("raise", "return")


def solve_batch(
    pairs: Iterable[Any],
    *,
    threads: int | None = None,
    processes: int | None = None,
    progress: bool | None = None,
    errors: str = "raise",
    **arguments: Any,
) -> list[Result]:
    """Register many pairs of images, several in parallel.

    The results are bitwise those of :func:`varreg.solve` for each pair.

    Parameters
    ----------
    pairs : iterable
        Tuples (moving, fixed), or dictionaries with the keys ``moving`` and ``fixed`` and optionally ``fixed_mask``, ``moving_mask``,
        ``fixed_rigid_mask``, ``moving_rigid_mask``, ``start`` and ``affine``, which override the
        arguments for all pairs. A generator is advanced, in the calling thread, a few pairs ahead.
    threads : int, optional
        Number of threads, all available by default: one per pair, or several if there are fewer
        pairs than threads. On a GPU this is the number of pairs solved together, 16 by default, or fewer
        if its free memory does not suffice.
    processes : int, optional
        Number of worker processes that solve the pairs, with the threads divided among them; 0 for none.
        By default as many as threads for many small images in memory, which gain nothing from
        threads, and otherwise none.  They remain available for further calls for some time.
    progress : bool, optional
        Whether to show a progress bar over the pairs; by default on a terminal only.
    errors : {"raise", "return"}
        Whether the first error is raised, or an error is returned in place of its result.
    **arguments
        Further arguments of :func:`varreg.solve`, for all pairs: `affine`, `preset`, `options`, single
        fields of :class:`Options`, ... A `callback` is called from several threads, and cannot be
        called from processes.

    Returns
    -------
    list of Result
        In the order of the pairs.

    Raises
    ------
    InputError
        If an argument is invalid; raised before any computation.
    Exception
        With ``errors="raise"``, the error of :func:`varreg.solve` for the first pair, in the order of
        `pairs`, that fails; the message begins with its position and its names.
    VarregError
        If a worker process is killed; with ``errors="return"`` in place of the results of all
        pairs in progress, and the others are sent to new processes.

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
    results = _checked("varreg.solve_batch", pairs, threads, processes, progress, errors, arguments)
    with closing(results):
        return list(results)


def iterate_batch(
    pairs: Iterable[Any],
    *,
    threads: int | None = None,
    processes: int | None = None,
    progress: bool | None = None,
    errors: str = "raise",
    **arguments: Any,
) -> Generator[Result, None, None]:
    """Register many pairs of images, and yield each result before the last is computed.

    Parameters
    ----------
    pairs, threads, processes, progress, errors, **arguments
        As for :func:`varreg.solve_batch`. At most two pairs per worker are taken from `pairs` before
        their results are requested.

    Returns
    -------
    generator of Result
        In the order of the pairs. Closing it cancels what is still being computed.

    Raises
    ------
    InputError
        If an argument is invalid; raised at once, before the first result is requested.

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
    return _checked("varreg.iterate_batch", pairs, threads, processes, progress, errors, arguments)


def _checked(
    function: str, pairs: Iterable[Any], threads: int | None, processes: int | None,
    progress: bool | None, errors: str, arguments: dict[str, Any],
) -> Generator[Result, None, None]:  # fmt: skip
    """Validate all common arguments, and return the generator of results."""
    if not isinstance(errors, str) or errors not in ERRORS:
        raise InputError(f"{function}: `errors` must be 'raise' or 'return'; got {errors!r}.")
    if not isinstance(pairs, Iterable) or getattr(pairs, "shape", None) == ():
        raise InputError(
            f"{function}: `pairs` must be an iterable of (moving, fixed); got "
            f"{type(pairs).__name__}."
        )
    wanted, processes = thread_count(threads, function), _process_count(processes, function)
    common, kernels = _common(arguments)
    most = processes or wanted
    if kernels.NAME == "cupy":  # the device is used by one process
        if processes:
            raise InputError(
                f"{function}: `processes` are for backend='numba'; a GPU serves the threads of one"
                " process: leave it out."
            )
        processes, most = 0, PAIRS_TOGETHER if threads is None else wanted
    if processes:
        _refuse_for_processes(function, common)
    if errors == "raise" and isinstance(pairs, Sequence):
        for position, pair in enumerate(pairs):  # errors are raised before the computation
            as_pair_task(pair, position, function)
    return _results(function, pairs, wanted, most, processes, progress, errors, common, kernels)


def _process_count(processes: Any, function: str) -> int | None:
    if processes is None:
        return None
    whole = isinstance(processes, (int, np.integer)) and not isinstance(processes, bool)
    if not whole or processes < 0:
        raise InputError(
            f"{function}: `processes` must be a whole number >= 0, or None; got {processes!r}."
        )
    return int(processes)


def _refuse_for_processes(function: str, common: dict[str, Any]) -> None:
    """Refuse arguments for all pairs that cannot be passed to another process."""
    if common.get("callback") is not None:
        raise InputError(
            f"{function}: `callback` is a function of this process, which worker processes cannot "
            "call; leave it out, or use threads: processes=0."
        )
    try:
        pickled(common)
    except InputError as error:
        raise InputError(f"{function}: {error}") from error


def _common(arguments: dict[str, Any]) -> tuple[dict[str, Any], ModuleType]:
    """The arguments of ``solve`` for all pairs, with one Options, and the backend."""
    taken = inspect.signature(solve).parameters.keys() - {"moving", "fixed", "changes"}
    common = {key: value for key, value in arguments.items() if key in taken}
    changes = {key: value for key, value in arguments.items() if key not in taken}
    options = common.pop("options", None)
    common["options"] = merged_options(options, common.pop("preset", "default"), changes)
    for key, check in (("affine", affine_model), ("start", affine_initialisations)):
        if isinstance(common.get(key), str):
            check(common[key], 2)  # valid names are the same in both dimensions
    kernels = chosen_backend(common.get("backend", "auto"), common.get("device", 0))
    common["backend"] = kernels.NAME  # the same in worker processes
    return common, kernels


def _results(
    function: str, pairs: Iterable[Any], threads: int, most: int, processes: int | None,
    progress: bool | None, errors: str, common: dict[str, Any], kernels: ModuleType,
) -> Generator[Result, None, None]:  # fmt: skip
    """The results in order, at most `most` pairs at a time; closing this generator cancels the running pairs."""
    source = iter(pairs)
    first = list(itertools.islice(source, most))
    workers = max(1, min(most, len(first), pairs_with_room(kernels, first, most)))
    total = len(first) if len(first) < most else len(pairs) if isinstance(pairs, Sized) else None
    pool = chosen_pool(function, processes, first, most, total, common)
    source = itertools.chain(first, source)
    del first  # do not keep a pair whose result has been returned
    executor = BatchExecutor(
        function, common, kernels, threads, workers, pool, require_processes=processes is not None
    )
    futures: deque[PairFuture] = deque()
    with count_bar(total, progress) as shown, executor:

        def next_result() -> Result:
            result = futures.popleft().result(errors)
            shown.update()
            return result

        for position, pair in enumerate(source):
            futures.append(executor.submit(position, pair))
            if len(futures) == AHEAD * workers:
                yield next_result()
        while futures:
            yield next_result()
