"""One job of many, and how it ended."""

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
    """Something to do once, on whatever machine; it can be sent there by pickle.

    Parameters
    ----------
    name : str
        For messages and tables; no two jobs of a run share it.
    work : callable
        Takes the job and the number of threads it may use; writes its files, each whole or not at all, over
        those that are there, and returns a :class:`Done`.  What it writes depends on `inputs` and `settings` alone.
    record : Path
        The JSON file that says how the job ended; written after everything else, by the worker of the job.
    inputs : mapping
        Role -> file or folder (None if it is absent) that is read.  Their content decides whether the job is to be
        done again, their names do not.
    settings : mapping
        Plain JSON values that change the answer.
    places : mapping
        What `work` needs besides and does not change the answer, such as the folder of the outputs.
    """

    name: str
    work: Callable[[Job, int], Done]
    record: Path
    inputs: Mapping[str, Path | None]
    settings: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # a worker may count relative paths from another folder
        paths = {role: path and Path(os.path.abspath(path)) for role, path in self.inputs.items()}
        object.__setattr__(self, "inputs", paths)
        object.__setattr__(self, "record", Path(os.path.abspath(self.record)))


@dataclass(frozen=True)
class Done:
    """What a job leaves behind.

    Parameters
    ----------
    outputs : tuple of Path
        The files it wrote, in the folder of its record or below.
    facts : mapping
        Plain JSON values, which are kept in the record for tables and pages.
    """

    outputs: tuple[Path, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


class State(Enum):
    """How a job ended in this run."""

    FINISHED = "finished"
    SKIPPED = "finished before"
    FAILED = "failed"


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Parameters
    ----------
    name : str
    state : State
    facts : mapping
        Of its :class:`Done`; empty if it failed.
    seconds : float
        That the job took, also if that was in an earlier run.
    error : Exception or None
        Why it failed.
    lost : int
        How many workers were lost with it in their hands.
    """

    name: str
    state: State
    facts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    error: Exception | None = None
    lost: int = 0

    def after(self, lost: int) -> Outcome:
        """The same, with the number of workers that were lost before."""
        return dataclasses.replace(self, lost=lost)
