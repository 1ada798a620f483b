"""Requested registrations, and the job of each session."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..jobs.job import Done, Job
from ..options.options import Options
from .dataset import Scan, Session
from .session import register_session
from .template import Template

#: Record of a session's job: hidden from BIDS; identifies folders written by varreg.
RECORD = ".varreg.json"


@dataclass(frozen=True)
class Wanted:
    """Registrations of every session.

    Parameters
    ----------
    template : Template or None
        Template to which the image `onto` is registered, if any.
    contrasts : tuple of str
        Suffixes of the images registered to `onto`, and through it to the template.
    onto : str
        Suffix of the fixed image.
    options : Options
    backend, device
        As for :func:`varreg.solve`.

    Raises
    ------
    InputError
        If no registration is requested.
    """

    template: Template | None = None
    contrasts: tuple[str, ...] = ()
    onto: str = "T1w"
    options: Options = field(default_factory=Options)
    backend: str = "numba"
    device: int = 0

    def __post_init__(self) -> None:
        if self.template is None and not self.contrasts:
            raise InputError(
                "varreg.bids: no registration was requested; give --to TEMPLATE, or --contrast T2w (onto T1w), or both."
            )
        if self.onto in self.contrasts:
            raise InputError(
                f"varreg.bids: --contrast {self.onto} is the image to which the others are registered; leave it out, or change --onto."
            )

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the required images."""
        return (self.onto, *self.contrasts)


def jobs_of(sessions: Sequence[Session], wanted: Wanted, dataset: Path, output: Path) -> list[Job]:
    """One job per session.

    Parameters
    ----------
    sessions : sequence of Session
    wanted : Wanted
    dataset, output : Path
        Folders of the images and of the derivatives.
    """
    return [_job(session, wanted, dataset, output) for session in sessions]


def _job(session: Session, wanted: Wanted, dataset: Path, output: Path) -> Job:
    record = output / session.folder / RECORD
    onto, notes = _one(session, wanted.onto)
    moving = [scan for suffix in wanted.contrasts for scan in session.of(suffix)]
    absent = [suffix for suffix in wanted.contrasts if not session.of(suffix)]
    if onto is None or (not moving and wanted.template is None):
        missing = wanted.onto if onto is None else " or ".join(absent)
        sentence = (
            f"varreg.bids: {session.name} has no image of {missing}, so nothing can be registered."
        )
        return _refusal(session.name, record, sentence)
    notes += [f"There is no image of {suffix}." for suffix in absent]
    inputs = {"onto": onto.path, **{_role(scan): scan.path for scan in moving}}
    settings: dict[str, Any] = {
        "options": wanted.options,
        "backend": wanted.backend,
        "onto": _role(onto),
        "moving": [_role(scan) for scan in moving],
        "space": wanted.template and wanted.template.label,
    }
    places = {
        "session": session,
        "onto": onto,
        "moving": moving,
        "wanted": wanted,
        "dataset": Path(os.path.abspath(dataset)),
        "notes": notes,
    }
    if wanted.template is not None:
        inputs["template"] = wanted.template.path
    return Job(session.name, register_session, record, inputs, settings, places)


def nothing_to_do(session: Session, wanted: Wanted) -> str:
    """The message for a session without the required images."""
    missing = wanted.contrasts if session.of(wanted.onto) else (wanted.onto,)
    return f"varreg.bids: {session.name} has no image of {' or '.join(missing)}, so nothing can be registered."


def _one(session: Session, suffix: str) -> tuple[Scan | None, list[str]]:
    """The reference image of a contrast: the first, if there are several."""
    scans = session.of(suffix)
    if len(scans) < 2:
        return next(iter(scans), None), []
    return scans[0], [
        f"Of {len(scans)} images of {suffix} the first by name was taken: {scans[0].path.name}."
    ]


def _role(scan: Scan) -> str:
    return "_".join(filter(None, (scan.entities, scan.suffix)))


def _refusal(name: str, record: Path, sentence: str) -> Job:
    """A job that only reports the reason for a missing registration."""
    work: Callable[[Job, int], Done] = _refuse
    return Job(name, work, record, {}, {"sentence": sentence})


def _refuse(job: Job, threads: int) -> Done:
    raise InputError(job.settings["sentence"])
