"""``run_jobs``: execution of unfinished jobs; failures do not stop the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing

from ..errors import InputError
from ..report.progress import count_bar
from .engine import Engine
from .job import Job, Outcome, State
from .record import finished


def run_jobs(
    jobs: Sequence[Job],
    engine: Engine | None = None,
    *,
    again: bool = False,
    progress: bool | None = None,
    ended: Callable[[Outcome], None] | None = None,
    unit: str = "jobs",
) -> list[Outcome]:
    """Execute every unfinished job.

    Each job writes its files and then its record, so that nothing is lost when this process ends, and the next call
    resumes.

    Parameters
    ----------
    jobs : sequence of Job
    engine : Engine, optional
        Executor; by default this process, one job after the other.
    again : bool
        Repeat finished jobs, whose records are removed first.
    progress : bool, optional
        Whether to show a progress bar; by default on a terminal only.
    ended : callable, optional
        Takes each outcome when it is available.
    unit : str
        Unit of the progress bar.

    Returns
    -------
    list of Outcome
        In the order of `jobs`.

    Raises
    ------
    InputError
        If two jobs have the same name or the same record.
    KeyboardInterrupt
        With the number of finished jobs, which are kept.
    """
    _refuse_same(jobs)
    outcomes = dict[str, Outcome]()

    def note(outcome: Outcome) -> None:
        outcomes[outcome.name] = outcome
        shown.update()
        if ended is not None:
            ended(outcome)

    engine = Engine() if engine is None else engine
    with count_bar(len(jobs), progress, unit=unit) as shown:
        try:
            waiting = [job for job in jobs if again or not _known(job, note)]
            for job in waiting if again else ():
                job.record.unlink(missing_ok=True)
            with closing(engine.run(waiting)) as running:  # type: ignore[type-var]
                for outcome in running:
                    note(outcome)
        except KeyboardInterrupt:
            kept = sum(outcome.state is not State.FAILED for outcome in outcomes.values())
            raise KeyboardInterrupt(
                f"{kept} of {len(jobs)} {unit} are finished; the same command resumes the run"
            ) from None
    return [outcomes[job.name] for job in jobs]


def _known(job: Job, note: Callable[[Outcome], None]) -> bool:
    """Whether a job is finished, as far as known without reading its inputs."""
    before = finished(job, read=False)
    if before is None:
        return False
    note(Outcome(job.name, State.SKIPPED, before.facts, before.seconds))
    return True


def _refuse_same(jobs: Sequence[Job]) -> None:
    for what, values in (
        ("name", [job.name for job in jobs]),
        ("record", [str(job.record) for job in jobs]),
    ):
        twice = [value for value, count in Counter(values).items() if count > 1][:3]
        if twice:
            raise InputError(
                f"varreg.run_jobs: `jobs` has several with the {what} {', '.join(twice)}; each needs its own."
            )
