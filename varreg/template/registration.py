"""The registrations of one round: the template with every person, each a job that is done once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..api import solve
from ..errors import VarregError
from ..images.image import Image
from ..io.atomic import atomic_path
from ..io.result_folder import fingerprint
from ..jobs.engine import Engine
from ..jobs.job import Done, Job, Outcome
from ..jobs.running import run_jobs
from ..optimise.check import failed
from ..options.options import Options
from ..transforms.transform import Transform
from .arrays import read_images, write_images
from .people import FUNCTION, Person

#: Kinds of rounds, by what they find.
AFFINE = ("translation", "rigid", "similarity", "affine")
KINDS = (*AFFINE, "deformable")
#: Steps of the deformable rounds in 3D where the options leave it open: the next round goes on from there.
ITERATIONS = (12, 12, 8)
Warnings = tuple[str, ...]


@dataclass(frozen=True)
class Minimised:
    """A map that the solver found: taken up at the finest level, not questioned as that of another tool is."""

    transform: Transform
    levels: tuple[str, ...] = ("found in an earlier round",)


@dataclass(frozen=True)
class Work:
    """How the registrations are done, the same in all rounds.

    Attributes
    ----------
    options : Options
    arguments : dict
        What else :func:`varreg.solve` takes, the same for all: backend and device.
    engine : Engine
    folder : Path
        For the files of every round.
    progress : bool or None
    """

    options: Options
    arguments: dict[str, Any]
    engine: Engine
    folder: Path
    progress: bool | None


def round_options(options: Options, dimension: int) -> Options:
    """Options with what different people of one contrast need where they leave it open."""
    if dimension == 2:
        return options
    if options.iterations is None:
        options = options.replace(iterations=ITERATIONS)
    return options.replace(regularity="fine") if options.regularity == "auto" else options


def register_all(
    template: Sequence[Image],
    people: Sequence[Person],
    starts: Sequence[Transform | None],
    kind: str,
    number: int,
    work: Work,
    whole: int | None = None,
) -> tuple[list[Transform], list[Warnings]]:
    """The map from the template to each person, and what the checks warn of.

    Parameters
    ----------
    template : sequence of Image
        One for each contrast.
    people : sequence of Person
    starts : sequence of Transform or None
        From this template; None where the search begins again.
    kind : str
        One of `KINDS`.
    number : int
        Of the round, from 1.
    work : Work
    whole : int, optional
        The person who is the template; the map is the identity.

    Raises
    ------
    Exception
        Of the first person who cannot be registered, after all others have been.
    """
    folder = work.folder / f"round-{number:02d}"
    folder.mkdir(exist_ok=True)
    file = write_images(folder / "template.npz", template)
    others = [k for k in range(len(people)) if k != whole]
    jobs = [_job(people[k], starts[k], kind, file, work) for k in others]
    outcomes = run_jobs(jobs, work.engine, progress=work.progress, unit=f"people, {kind}")
    _refuse_failures(outcomes)
    here, d = template[0], template[0].grid.dim
    transforms: list[Transform] = []
    warnings = {k: tuple(each.facts["warnings"]) for k, each in zip(others, outcomes, strict=True)}
    for k, person in enumerate(people):
        found = np.eye(d + 1), None
        if k != whole:
            with np.load(folder / f"{person.name}.npz") as kept:
                found = kept["affine"], kept["nodes"] if "nodes" in kept.files else None
        where = here.grid, person.grid
        transforms.append(Transform(*where, *found, work.options.constraint, here.frame))
    return transforms, [warnings.get(k, ()) for k in range(len(people))]


def starts_of(
    maps: Sequence[Transform], kind: str, warned: Sequence[Warnings]
) -> list[Transform | None]:
    """Where the registrations of a round start: from the maps so far; an affine round searches again for those people
    whose checks warned in the round before.
    """
    again = kind != "deformable"
    return [None if again and said else each for each, said in zip(maps, warned, strict=True)]


def _job(person: Person, start: Transform | None, kind: str, file: Path, work: Work) -> Job:
    settings = {
        "kind": kind,
        "person": person.digest,
        "start": None if start is None else _digest(start),
        "options": work.options,
        **work.arguments,
    }
    places = {
        "person": person,
        "start": start,
        "options": work.options,
        "output": file.with_name(f"{person.name}.npz").absolute(),
    }
    record = file.with_name(f"{person.name}.json")
    return Job(person.name, register_person, record, {"template": file}, settings, places)


def register_person(job: Job, threads: int) -> Done:
    """Register one person to a template and write the map: the work of a job."""
    person, start, kind = job.places["person"], job.places["start"], job.settings["kind"]
    file = job.inputs["template"]
    assert file is not None
    arguments = {name: job.settings[name] for name in ("backend", "device")}
    result = solve(
        person.images(),
        read_images(file),
        options=job.places["options"],
        threads=threads,
        progress=False,
        **arguments,
        **_asked(kind, start),
    )
    output = job.places["output"]
    parts = {"affine": result.transform.affine}
    if result.transform.nodes is not None:
        parts["nodes"] = result.transform.nodes
    with atomic_path(output, overwrite=True) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **parts)  # type: ignore[arg-type]
    return Done((output,), {"warnings": [check.sentence for check in failed(result.checks)]})


def _asked(kind: str, start: Transform | None) -> Mapping[str, Any]:
    """What a registration of a kind is asked for."""
    if kind != "deformable":
        return {"affine": kind, "deformable": False, "start": start and start.affine}
    assert start is not None
    if start.nodes is None:
        return {"affine": start.affine, "deformable": True}
    return {"start": Minimised(start), "deformable": True}


def _digest(start: Transform) -> list[str]:
    parts = (start.fixed.affine, start.affine, start.nodes)
    return [fingerprint(part) for part in parts if part is not None]


def _refuse_failures(outcomes: Sequence[Outcome]) -> None:
    errors = [(each.name, each.error) for each in outcomes if each.error is not None]
    if not errors:
        return
    name, first = errors[0]
    others = [each for each, _ in errors[1:]]
    more = f" So do: {', '.join(others)}." if others else ""
    raise VarregError(
        f"{FUNCTION}: {len(errors)} of {len(outcomes)} people cannot be registered. {name}: {first}{more} Correct their images "
        "or leave them out; the others are kept, if `state` is a folder."
    ) from first
