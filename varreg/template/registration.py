"""The registrations of one round: the template with every person."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..batch.batch import iterate_batch
from ..images.image import Image
from ..optimise.check import failed
from ..options.options import Options
from ..results.result import Result
from ..transforms.transform import Transform
from .people import Person
from .state import Found, State

#: Kinds of rounds, by what they find.
AFFINE = ("translation", "rigid", "similarity", "affine")
KINDS = (*AFFINE, "deformable")
#: Steps of the deformable rounds in 3D where the options leave it open: the next round goes on from there.
ITERATIONS = (12, 12, 8)


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
        What else :func:`varreg.iterate_batch` takes.
    state : State
    """

    options: Options
    arguments: dict[str, Any]
    state: State


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
    maps: Sequence[Transform] | None,
    kind: str,
    number: int,
    work: Work,
    warned: Sequence[tuple[str, ...]] | None = None,
    whole: int | None = None,
) -> tuple[list[Transform], list[tuple[str, ...]]]:
    """The map from the template to each person, and what the checks warn of.

    Parameters
    ----------
    template : sequence of Image
        One for each contrast.
    people : sequence of Person
    maps : sequence of Transform or None
        Of the round before, from this template.
    kind : str
        One of `KINDS`.
    number : int
        Of the round, from 1.
    work : Work
    warned : sequence of tuple of str, optional
        What the checks of the round before warned of: an affine round searches anew for these people.
    whole : int, optional
        The person who is the template; the map is the identity.

    Raises
    ------
    Exception
        What the registration of the first person raises that fails; the others are kept in the state.
    """
    others = [k for k in range(len(people)) if k != whole]
    found = {k: work.state.load(number, k) for k in others}
    missing = [k for k in others if found[k] is None]
    if maps is not None and kind != "deformable" and warned is not None:
        starts = [None if said else each for each, said in zip(maps, warned, strict=True)]
    else:
        starts = [None] * len(people) if maps is None else list(maps)
    pairs = _pairs(template, people, starts, kind, missing)
    with closing(
        iterate_batch(pairs, options=work.options, **_settings(kind), **work.arguments)
    ) as results:
        for k, result in zip(missing, results, strict=True):
            found[k] = _kept(result)
            work.state.keep(number, k, found[k])
    if whole is not None:
        found[whole] = Found(np.eye(template[0].grid.dim + 1), None, work.options.constraint, ())
    here, known = template[0], [found[k] for k in range(len(people))]
    assert all(each is not None for each in known)
    transforms = [
        Transform(here.grid, person.grid, each.affine, each.nodes, each.constraint, here.frame)
        for person, each in zip(people, known, strict=True)
    ]
    return transforms, [each.warnings for each in known]


def _settings(kind: str) -> dict[str, Any]:
    if kind == "deformable":
        return {"deformable": True}
    return {"affine": kind, "deformable": False}


def _pairs(
    template: Sequence[Image], people: Sequence[Person], starts: Sequence[Transform | None], kind: str,
    missing: Sequence[int],
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """One pair a person; images are read as their turn comes."""
    for k in missing:
        pair: dict[str, Any] = {"moving": people[k].images(), "fixed": list(template)}
        known = starts[k]
        if known is not None and known.nodes is not None:
            pair["start"] = Minimised(known)
        elif known is not None:
            pair["affine" if kind == "deformable" else "start"] = known.affine
        yield pair


def _kept(result: Result) -> Found:
    transform = result.transform
    warnings = tuple(check.sentence for check in failed(result.checks))
    return Found(transform.affine, transform.nodes, transform.constraint, warnings)
