"""What is registered to what, and the job of each visit."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..jobs.job import Done, Job
from ..options.options import Options
from .dataset import Scan, Visit
from .template import Template
from .visit import register_visit

#: The record of a visit's job: hidden, so that BIDS does not see it; tells the folder from those of others.
RECORD = ".varreg.json"


@dataclass(frozen=True)
class Wanted:
    """What is done for every visit.

    Parameters
    ----------
    template : Template or None
        What the image `onto` is brought to, if anything.
    contrasts : tuple of str
        Suffixes of the images that are brought onto `onto`, and through it to the template.
    onto : str
        Suffix of the image that stays where it is.
    options : Options
    backend, device
        As for :func:`varreg.solve`.

    Raises
    ------
    InputError
        If there is nothing to do.
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
        """Contrasts that are read."""
        return (self.onto, *self.contrasts)


def jobs_of(visits: Sequence[Visit], wanted: Wanted, dataset: Path, output: Path) -> list[Job]:
    """One job for each visit.

    Parameters
    ----------
    visits : sequence of Visit
    wanted : Wanted
    dataset, output : Path
        Folders of the images and of the derivatives.
    """
    return [_job(visit, wanted, dataset, output) for visit in visits]


def _job(visit: Visit, wanted: Wanted, dataset: Path, output: Path) -> Job:
    record = output / visit.folder / RECORD
    onto, notes = _one(visit, wanted.onto)
    moving = [scan for suffix in wanted.contrasts for scan in visit.of(suffix)]
    absent = [suffix for suffix in wanted.contrasts if not visit.of(suffix)]
    if onto is None or (not moving and wanted.template is None):
        missing = wanted.onto if onto is None else " or ".join(absent)
        sentence = (
            f"varreg.bids: {visit.name} has no image of {missing}, so nothing can be registered."
        )
        return _refusal(visit.name, record, sentence)
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
        "visit": visit,
        "onto": onto,
        "moving": moving,
        "wanted": wanted,
        "dataset": Path(os.path.abspath(dataset)),
        "notes": notes,
    }
    if wanted.template is not None:
        inputs["template"] = wanted.template.path
    return Job(visit.name, register_visit, record, inputs, settings, places)


def nothing_to_do(visit: Visit, wanted: Wanted) -> str:
    """The sentence on a visit whose images do not suffice."""
    missing = wanted.contrasts if visit.of(wanted.onto) else (wanted.onto,)
    return f"varreg.bids: {visit.name} has no image of {' or '.join(missing)}, so nothing can be registered."


def _one(visit: Visit, suffix: str) -> tuple[Scan | None, list[str]]:
    """The image of a contrast that others are brought onto: the first, if there are several."""
    scans = visit.of(suffix)
    if len(scans) < 2:
        return next(iter(scans), None), []
    return scans[0], [
        f"Of {len(scans)} images of {suffix} the first by name was taken: {scans[0].path.name}."
    ]


def _role(scan: Scan) -> str:
    return "_".join(filter(None, (scan.entities, scan.suffix)))


def _refusal(name: str, record: Path, sentence: str) -> Job:
    """A job that says why there is nothing to do."""
    work: Callable[[Job, int], Done] = _refuse
    return Job(name, work, record, {}, {"sentence": sentence})


def _refuse(job: Job, threads: int) -> Done:
    raise InputError(job.settings["sentence"])
