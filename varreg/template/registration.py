"""The registrations of one round: the template with every participant, each as an idempotent job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..api import solve
from ..errors import VarregError
from ..geometry.grid import Grid
from ..images.image import Image
from ..io.atomic import atomic_path
from ..io.result_folder import fingerprint
from ..jobs.engine import Engine
from ..jobs.job import Done, Job, Outcome
from ..jobs.running import run_jobs
from ..optimise.check import failed
from ..options.options import Options
from ..stages.pyramid import level_factors
from ..transforms.transform import Transform
from .arrays import read_images, write_images
from .people import FUNCTION, Person

#: Types of rounds, by their model.
AFFINE = ("translation", "rigid", "similarity", "affine")
KINDS = (*AFFINE, "deformable")
#: Iterations of the deformable rounds in 3D by default: of the first one from coarse to fine, fewer at the
#: finest level if a further round continues it, and of the further ones.
ITERATIONS, BEFORE_ANOTHER, FURTHER = (12, 12, 8), (8, 8, 4), (0, 0, 5)
Warnings = tuple[str, ...]


@dataclass(frozen=True)
class Minimised:
    """A map computed by the solver: continued at the finest level, and not compared with the alternative."""

    transform: Transform
    levels: tuple[str, ...] = ("found in an earlier round",)


@dataclass(frozen=True)
class Work:
    """Settings of the registrations, common to all rounds.

    Attributes
    ----------
    options : Options
    arguments : dict
        Further arguments of :func:`varreg.solve`, common to all: backend and device.
    engine : Engine
    folder : Path
        Folder of the files of all rounds.
    progress : bool or None
    """

    options: Options
    arguments: dict[str, Any]
    engine: Engine
    folder: Path
    progress: bool | None


def round_options(options: Options, grid: Grid, kinds: Sequence[str], number: int) -> Options:
    """Options of a round, with defaults for images of different participants in one contrast.

    In 3D the mean is blurred until the deformable rounds, and registrations that a further round continues need
    no finest level.

    Parameters
    ----------
    options : Options
        Options of all registrations.
    grid : Grid
        Grid of the template in this round.
    kinds : sequence of str
        Types of all rounds.
    number : int
        Number of the round, from 1.
    """
    if grid.dim == 2:
        return options
    if options.regularity == "auto":
        options = options.replace(regularity="fine")
    earlier, later = kinds[: number - 1], kinds[number:]
    if kinds[number - 1] in AFFINE:
        factors = level_factors(grid, options)
        coarser = options.levels is None and bool(later) and len(factors) > 1
        return options.replace(levels=factors[:-1]) if coarser else options
    if options.iterations is not None:
        return options
    if "deformable" in earlier:
        return options.replace(iterations=FURTHER)
    return options.replace(iterations=BEFORE_ANOTHER if "deformable" in later else ITERATIONS)


def register_all(
    template: Sequence[Image],
    people: Sequence[Person],
    starts: Sequence[Transform | None],
    kinds: Sequence[str],
    number: int,
    work: Work,
    whole: int | None = None,
) -> tuple[list[Transform], list[Warnings]]:
    """The map from the template to each participant, and the warnings of the checks.

    Parameters
    ----------
    template : sequence of Image
        One image per contrast.
    people : sequence of Person
    starts : sequence of Transform or None
        Maps from this template; None to search again.
    kinds : sequence of str
        Types of all rounds, from `KINDS`.
    number : int
        Number of the round, from 1.
    work : Work
    whole : int, optional
        Index of the participant who is the template; the map is the identity.

    Raises
    ------
    Exception
        Error of the first participant that cannot be registered, after the registration of all others.
    """
    folder = work.folder / f"round-{number:02d}"
    folder.mkdir(exist_ok=True)
    file = write_images(folder / "template.npz", template)
    kind, options = kinds[number - 1], round_options(work.options, template[0].grid, kinds, number)
    work = replace(work, options=options)
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
    """Starts of the registrations of a round: the previous maps; an affine round repeats the search for participants
    with failed checks in the previous round.
    """
    again = kind != "deformable"
    return [
        None if again and warnings else each for each, warnings in zip(maps, warned, strict=True)
    ]


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
    """Register one participant to a template and write the map: the work of a job."""
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
        **_solve_arguments(kind, start),
    )
    output = job.places["output"]
    parts = {"affine": result.transform.affine}
    if result.transform.nodes is not None:
        parts["nodes"] = result.transform.nodes
    with atomic_path(output, overwrite=True) as temporary, open(temporary, "wb") as stream:
        np.savez(stream, **parts)  # type: ignore[arg-type]
    return Done((output,), {"warnings": [check.sentence for check in failed(result.checks)]})


def _solve_arguments(kind: str, start: Transform | None) -> Mapping[str, Any]:
    """Arguments of ``solve`` for a type of round."""
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
