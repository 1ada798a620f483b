"""Jobs in threads of this process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed

from .doing import do
from .job import Job, Outcome


def in_threads(jobs: list[Job], parallel: int, threads: int) -> Iterator[Outcome]:
    """Execute jobs in parallel in this process; closing this generator waits for the running ones.

    Parameters
    ----------
    jobs : list of Job
    parallel : int
        Number of parallel jobs.
    threads : int
        Threads per job.

    Yields
    ------
    Outcome
        In the order of completion.
    """
    pool = ThreadPoolExecutor(parallel, "varreg-job")
    try:
        running = [pool.submit(do, job, threads) for job in jobs]
        for ended in as_completed(running):
            yield ended.result()
    finally:
        pool.shutdown(cancel_futures=True)
