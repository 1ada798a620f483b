"""One of many jobs, and its outcome."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Job:
    """A unit of work that is executed once, on any machine; serialisable by pickle.

    Parameters
    ----------
    name : str
        For messages and tables; unique within a run.
    work : callable
        Takes the job and the number of threads; writes its files atomically, replacing existing ones,
        and returns a :class:`Done`.  Its outputs depend on `inputs` and `settings` only.
    record : Path
        JSON file with the outcome of the job; written last, by the worker of the job.
    inputs : mapping
        Role -> input file or folder (None if absent).  The job is repeated if their content changes,
        not if their names do.
    settings : mapping
        Plain JSON values that affect the result.
    places : mapping
        Other parameters of `work`, which do not affect the result, such as the output folder.
    """

    name: str
    work: Callable[[Job, int], Done]
    record: Path
    inputs: Mapping[str, Path | None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # the working folder of a worker may differ
        paths = {role: path and Path(os.path.abspath(path)) for role, path in self.inputs.items()}
        object.__setattr__(self, "inputs", paths)
        object.__setattr__(self, "record", Path(os.path.abspath(self.record)))


@dataclass(frozen=True)
class Done:
    """Output of a job.

    Parameters
    ----------
    outputs : tuple of Path
        The written files, in the folder of its record or below.
    facts : mapping
        Plain JSON values, recorded for tables and pages.
    """

    outputs: tuple[Path, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class State(Enum):
    """State of a job after a run."""

    FINISHED = "finished"
    SKIPPED = "finished before"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a job.

    Parameters
    ----------
    name : str
    state : State
    facts : mapping
        From :class:`Done`; empty if it failed.
    seconds : float
        Run time of the job, also if executed in an earlier run.
    error : Exception or None
        Reason for the failure.
    lost : int
        Number of workers lost during the job.
    """

    name: str
    state: State
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: Exception | None = None
    lost: int = 0

    def after(self, lost: int) -> Outcome:
        """The same, with the number of workers lost before."""
        return dataclasses.replace(self, lost=lost)
