"""Jobs on a Dask cluster: an existing one, or workers started by SLURM."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from .._version import __version__
from ..errors import BackendError, InputError, VarregError
from .doing import do_pickled, failure, pickled
from .job import Job, Outcome
from .processes import lost_workers

if TYPE_CHECKING:
    from .engine import Engine

#: Seconds to wait for an answer of a scheduler.
TIMEOUT = 20


def on_cluster(jobs: list[Job], engine: Engine) -> Iterator[Outcome]:
    """Execute jobs on the workers of a scheduler; jobs of a lost worker are repeated on others.

    The scheduler counts the loss of a worker against every job that was assigned to it, including those
    that had not begun.  So jobs that it gives up are repeated alone, after all others.

    Parameters
    ----------
    jobs : list of Job
        Their files must have the same paths on all machines.
    engine : Engine
        Engine with a scheduler.

    Yields
    ------
    Outcome
        In the order of completion.

    Raises
    ------
    BackendError
        If ``distributed`` or ``dask-jobqueue`` is not installed.
    VarregError
        If no scheduler answers.
    """
    if not jobs:
        return
    with ExitStack() as opened:
        client = opened.enter_context(_client(engine, opened))
        suspects = list[tuple[Job, int]]()
        yield from _together(client, jobs, engine.threads_per_job, suspects)
        for job, lost in suspects:
            yield _alone(client, job, engine.threads_per_job, lost)


def _together(
    client: Any, jobs: list[Job], threads: int, suspects: list[tuple[Job, int]]
) -> Iterator[Outcome]:
    """Outcomes of parallel jobs; given up jobs are added to `suspects`, with the number of lost workers."""
    from distributed import KilledWorker, as_completed

    sent = dict[Any, Job]()
    for job in jobs:
        try:
            sent[_submit(client, job, threads)] = job
        except InputError as error:
            yield failure(job, error, 0.0, {})
    ended = as_completed(sent)
    while sent:
        future = next(ended)
        job = sent.pop(future)
        try:
            yield _outcome(job, future)
        except KilledWorker as error:
            suspects.append((job, _lost(error)))


def _alone(client: Any, job: Job, threads: int, before: int) -> Outcome:
    """Outcome of a job that had `before` lost workers, executed alone."""
    from distributed import KilledWorker

    try:
        return _outcome(job, _submit(client, job, threads)).after(before)
    except KilledWorker as error:
        lost = _lost(error)
        return failure(job, lost_workers(lost), 0.0, {}).after(before + lost)


def _submit(client: Any, job: Job, threads: int) -> Any:
    call = (do_pickled, __version__, pickled(job), threads)
    # without a unique name a job would be identified with one of an earlier run
    return client.submit(*call, pure=False)


def _outcome(job: Job, future: Any) -> Outcome:
    from distributed import KilledWorker

    error = future.exception()
    if isinstance(error, KilledWorker):
        raise error
    outcome: Outcome = future.result() if error is None else failure(job, error, 0.0, {})
    future.release()  # if kept, it would be repeated when its worker is lost
    return outcome


def _lost(error: Any) -> int:
    """Number of workers lost during a job that the scheduler gave up."""
    return int(error.allowed_failures) + 1


def _client(engine: Engine, opened: ExitStack) -> Any:
    """The connection to the scheduler, which is started if necessary."""
    try:
        from distributed import Client
    except ImportError:
        raise BackendError(
            "varreg: a scheduler needs Dask; install it: python -m pip install 'varreg[cluster]'."
        ) from None
    if engine.scheduler == "slurm":
        return Client(opened.enter_context(slurm_cluster(engine)))
    try:
        return Client(engine.scheduler, timeout=TIMEOUT)
    except (OSError, ValueError) as error:
        raise VarregError(
            f"varreg: no Dask scheduler answers at {engine.scheduler!r} ({error or type(error).__name__}); start "
            "`dask scheduler`, and `dask worker ADDRESS --nthreads 1` on every machine."
        ) from error


def slurm_cluster(engine: Engine) -> Any:
    """A local scheduler, and workers that SLURM starts while there is work.

    Partition, account and script lines are read from Dask's configuration,
    ``jobqueue.slurm``.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise BackendError(
            "varreg: workers of SLURM need dask-jobqueue; install it: python -m pip install 'varreg[cluster]'."
        ) from None
    minutes = math.ceil(60 * engine.hours)
    cluster = SLURMCluster(
        cores=1,  # parallel jobs per worker
        processes=1,
        job_cpu=engine.threads_per_job,
        memory=f"{math.ceil(1024 * engine.memory)} MiB",
        walltime=f"{minutes // 60:02d}:{minutes % 60:02d}:00",
        job_name="varreg",
    )
    cluster.adapt(minimum_jobs=0, maximum_jobs=engine.workers)
    return cluster
