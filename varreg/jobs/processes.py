"""Jobs in local worker processes; the other jobs survive if a worker is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import Any

from .._version import __version__
from ..batch.worker import follow
from ..errors import InputError, VarregError
from .doing import do_pickled, failure, pickled
from .job import Job, Outcome


def in_processes(jobs: list[Job], processes: int, threads: int, retries: int) -> Iterator[Outcome]:
    """Execute jobs in worker processes, in parallel.

    If one worker dies, all others end, and the job that caused it cannot be identified.  So
    each candidate is repeated alone, and given up after the loss of `retries` + 1 workers.

    Parameters
    ----------
    jobs : list of Job
    processes, threads, retries : int

    Yields
    ------
    Outcome
        In the order of completion.
    """
    pool = _Pool(min(processes, max(1, len(jobs))), threads)
    try:
        suspects = list[Job]()
        yield from _together(pool, iter(jobs), suspects)
        for job in suspects:
            yield _alone(pool, job, retries)
    finally:
        pool.end()


def _together(pool: _Pool, source: Iterator[Job], suspects: list[Job]) -> Iterator[Outcome]:
    """Outcomes of parallel jobs; jobs whose workers were lost are added to `suspects`."""
    running = dict[Future[Outcome], Job]()
    while True:
        while len(running) < pool.size and (job := next(source, None)) is not None:
            try:
                running[pool.submit(job)] = job
            except InputError as error:
                yield failure(job, error, 0.0, {})
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            job = running.pop(future)
            try:
                yield _outcome(job, future)
            except BrokenProcessPool:
                suspects.append(job)


def _alone(pool: _Pool, job: Job, retries: int) -> Outcome:
    """Outcome of a job during which a worker was lost, executed alone."""
    for lost in range(1, retries + 1):
        with suppress(BrokenProcessPool):
            return _outcome(job, pool.submit(job)).after(lost)
    lost = retries + 1
    return failure(job, lost_workers(lost), 0.0, {}).after(lost)


def lost_workers(count: int) -> VarregError:
    """The error of a job that repeatedly kills its worker."""
    times = "once" if count == 1 else f"{count} times"
    return VarregError(
        f"varreg: the worker that had it in hand was killed {times}, perhaps because memory ran out; see "
        "`varreg plan`, and run it again with fewer processes or more memory for each."
    )


def _outcome(job: Job, future: Future[Outcome]) -> Outcome:
    error = future.exception()
    if error is None:
        return future.result()
    if isinstance(error, BrokenProcessPool) or not isinstance(error, Exception):
        raise error
    return failure(job, error, 0.0, {})


class _Pool:
    """Worker processes of loky, replaced when one of them is killed."""

    def __init__(self, size: int, threads: int) -> None:
        self.size, self._threads = size, threads
        self._executor: Any = None

    def submit(self, job: Job) -> Future[Outcome]:
        """Send a job to a worker."""
        call = (do_pickled, __version__, pickled(job), self._threads)
        if self._executor is None:
            self._executor = _started(self.size)
        try:
            return self._executor.submit(*call)  # type: ignore[no-any-return]
        except BrokenProcessPool:
            self._executor = _started(self.size)
            return self._executor.submit(*call)  # type: ignore[no-any-return]

    def end(self) -> None:
        """End the workers, including running jobs."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, kill_workers=True)


def _started(size: int) -> Any:
    from loky import ProcessPoolExecutor
    from loky.backend import get_context

    context = get_context("loky")  # neither forks nor runs the user's script again
    return ProcessPoolExecutor(size, context=context, initializer=follow, initargs=(os.getpid(),))
