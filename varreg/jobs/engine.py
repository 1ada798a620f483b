"""Execution of jobs: in this process, in several processes, or on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import InputError
from ..stages.arguments import thread_count
from .doing import do
from .job import Job, Outcome
from .threads import in_threads

SLURM = "slurm"


@dataclass(frozen=True)
class Engine:
    """Executor of jobs; results do not depend on it.

    Parameters
    ----------
    processes : int
        Number of local worker processes; 0 for none.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``"tcp://node:8786"``; or ``"slurm"``, which starts `workers`
        by SLURM.
    workers : int
        Largest number of SLURM workers.
    threads : int, optional
        Threads per job.  By default all threads are divided among the parallel jobs, and a worker of a cluster has one.
    memory : float
        Memory requested from SLURM for each worker, GiB.
    hours : float
        Time requested likewise; a worker whose time has elapsed is replaced.
    retries : int
        Number of workers that may be lost during a job before it is given up.  Dask schedulers have
        a separate limit, ``distributed.scheduler.allowed-failures``.
    parallel : int
        Number of parallel jobs in this process, if it executes them; they share its memory.

    Raises
    ------
    InputError
        If two executors are requested, or a number is out of range.

    Examples
    --------
    >>> Engine(processes=2).places
    2
    """

    processes: int = 0
    scheduler: str | None = None
    workers: int = 8
    threads: int | None = None
    memory: float = 4.0
    hours: float = 4.0
    retries: int = 2
    parallel: int = 1

    def __post_init__(self) -> None:
        if self.processes and self.scheduler is not None:
            raise InputError(
                "varreg.Engine: `processes` are of this machine and `scheduler` is of a cluster; give one of them."
            )
        if self.parallel != 1 and (self.processes or self.scheduler is not None):
            raise InputError(
                "varreg.Engine: `parallel` jobs are of this process; give it without `processes` and `scheduler`."
            )
        least = {"processes": 0, "workers": 1, "retries": 0, "parallel": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise InputError(
                    f"varreg.Engine: `{name}` must be a whole number >= {low}; got {value!r}."
                )
        for name in ("memory", "hours"):
            if not getattr(self, name) > 0:
                raise InputError(
                    f"varreg.Engine: `{name}` must be above 0; got {getattr(self, name)!r}."
                )

    @property
    def places(self) -> int:
        """Number of parallel jobs, as far as it is determined here."""
        if self.scheduler == SLURM:
            return self.workers
        return self.processes or self.parallel

    @property
    def threads_per_job(self) -> int:
        """Number of threads per job."""
        if self.threads is not None:
            return thread_count(self.threads, "varreg.Engine")
        return 1 if self.scheduler is not None else max(1, thread_count(None) // self.places)

    def run(self, jobs: list[Job]) -> Iterator[Outcome]:
        """Execute jobs; closing this generator ends the running ones.

        Yields
        ------
        Outcome
            Of each job, in the order of completion.
        """
        if self.scheduler is not None:
            from .dask_cluster import on_cluster

            return on_cluster(jobs, self)
        if self.processes:
            from .processes import in_processes

            return in_processes(jobs, self.processes, self.threads_per_job, self.retries)
        threads = self.threads_per_job
        if self.parallel > 1:
            return in_threads(jobs, self.parallel, threads)
        return (do(job, threads) for job in jobs)
