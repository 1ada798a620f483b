"""The search over initialisations of the affine stage.

Energies of many initialisations at the coarsest level, then a few steps from the best of them.  Where the field of
view cuts off what is shown, images of few voxels do not tell a right one from a wrong one that
overlaps more: then the best are taken on to the next level, and the energy at a fine level decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..backends.arrays import Array
from ..energy.affine import STRETCH_WEIGHT, AffineObjective
from ..optimise.history import Trial
from ..optimise.minimise import minimise
from ..similarity.choice import affine_choice
from .initialisations import candidates, described, shows_all, turned
from .levels import Observer, check_view
from .problem import Problem

#: Initialisations that are refined at the coarsest affine level, and how many of images that are cut off.
KEPT, KEPT_OF_CUT = 3, 12
#: Initialisations that put no corner further apart than this, in voxels of the level, count as one.
NEIGHBOURS = 3.0
#: Initialisations as near as this are not even compared.
SAME = 0.5
#: Steps after which the most promising one is chosen.
TRIAL_STEPS = 6
#: What images that are cut off are tried by: scales and shear that squeeze a head into the part of it that the other
#: image shows gain more at coarse levels than the right turn does.
TRIED = {"translation": "translation", "rigid": "rigid", "similarity": "rigid", "affine": "rigid"}
#: Steps that move no corner further than this, in voxels of the level, show nothing about it.
SHORTEST_TRIAL_STEP = 0.005
#: Of images that are cut off, what has less than this share of the largest decrease is given up; what has this share of it
#: at the next level without scales and shear is tried with them, too.
CLOSE, ALIKE = 0.85, 0.95
#: A map that is turned against the headers must have this much more of energy than one that is not.
LEAST_GAIN = 0.05
#: Level whose energy decides between them, or the only one.
JUDGE = -2


def best_initialisation(
    problem: Problem, model: str, names: tuple[str, ...], factors: Sequence[float],
    observer: Observer | None, also: Array | None = None,
) -> Array:  # fmt: skip
    """The matrix that the coarsest level begins with, (d + 1, d + 1) fixed world -> moving world.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    names : tuple of str
        See :func:`varreg.stages.initialisations.candidates`.
    factors : sequence of float
        Of all levels that an affine stage may have.
    observer : callable or None
        Told of every step; none is recorded.
    also : (d + 1, d + 1) array, optional
        One more initialisation.
    """
    whole = shows_all(*problem.level(factors[0]))
    objective = affine_objective(problem, model, factors[0])
    found = _best(problem, objective, names, model, factors[0], also)
    kept = found[: KEPT if whole else KEPT_OF_CUT]
    upright = next((m for m in found if not turned(m, problem.fixed.grid, also)), None)
    if upright is not None and all(upright is not matrix for matrix in kept):
        kept.append(upright)
    tried = model if whole else TRIED[model]
    objective = affine_objective(problem, tried, factors[0])
    found = _tried(problem, objective, kept, factors[0], observer)
    if turned(found[0], problem.fixed.grid, also):
        found = _least_turned(problem, objective, found, also, observer)
    return found[0] if whole else _of_cut(problem, model, objective, found, factors, observer)


def _of_cut(
    problem: Problem, model: str, objective: AffineObjective, matrices: list[Array], factors: Sequence[float],
    observer: Observer | None,
) -> Array:  # fmt: skip
    """The best initialisation of images that are cut off: finer levels decide between those that come near."""
    alternatives = _alternatives(objective, matrices, CLOSE)
    if len(alternatives) == 1:
        return alternatives[0]
    if len(factors) > 1:
        finer = affine_objective(problem, TRIED[model], factors[1])
        alternatives = _tried(problem, finer, alternatives, factors[1], observer)
        if TRIED[model] != model:
            finer = affine_objective(problem, model, factors[1])
            near = _alternatives(finer, alternatives, ALIKE)
            alternatives = _tried(problem, finer, near, factors[1], observer)
    level = max(JUDGE, -len(problem.factors))
    judge = affine_objective(problem, model, problem.factors[level])
    return min(alternatives, key=lambda matrix: judge.evaluate(matrix).energy.total)


def affine_objective(
    problem: Problem, model: str, factor: float, reference: Array | None = None, held: bool = True
) -> AffineObjective:
    """The energy of a level of the affine stage: if held, stretches cost, but for that of the reference."""
    similarity = problem.similarity(factor, tuple(map(affine_choice, problem.names)))
    weight = problem.options.similarity_weight
    stretch = weight * STRETCH_WEIGHT * held
    guides = problem.points, problem.options.points_weight
    return AffineObjective(similarity, model, weight, stretch, reference, *guides)


def _best(
    problem: Problem, objective: AffineObjective, names: tuple[str, ...], model: str, factor: float,
    also: Array | None,
) -> list[Array]:  # fmt: skip
    """The initialisations that are apart, that of the lowest energy first."""
    given = [] if also is None else [also]
    turn, scaled = model != "translation", model in ("similarity", "affine")
    found = candidates(*problem.level(factor), names, turn, scaled)
    found = _apart(objective, [*given, *found], SAME)
    evaluations = [objective.evaluate(matrix) for matrix in found]
    order = sorted(range(len(found)), key=lambda k: (evaluations[k].energy.total, k))
    check_view(evaluations[order[0]])
    return _apart(objective, [found[k] for k in order], NEIGHBOURS)


def _apart(objective: AffineObjective, matrices: list[Array], least: float) -> list[Array]:
    """The matrices that are further than `least` voxels from all before: others would end alike."""
    apart = objective.distances(np.array(matrices))
    kept: list[int] = []
    for k in range(len(matrices)):
        if not kept or apart[k, kept].min() > least:
            kept.append(k)
    return [matrices[k] for k in kept]


def _tried(
    problem: Problem, objective: AffineObjective, matrices: list[Array], factor: float,
    observer: Observer | None,
) -> list[Array]:  # fmt: skip
    """Where a few steps from each initialisation lead, that of the lowest energy first."""
    if len(matrices) == 1:
        return matrices
    options = problem.options
    steps = min(options.affine_iterations, TRIAL_STEPS)
    ended = [
        minimise(
            objective, matrix, options, steps, shortest_step=SHORTEST_TRIAL_STEP, stage="affine",
            factor=factor, observe=_told(observer, described(matrix, *problem.level(factor))),
        )
        for matrix in matrices
    ]  # fmt: skip
    return [descent.state for descent in sorted(ended, key=lambda d: d.evaluation.energy.total)]


def _least_turned(
    problem: Problem, objective: AffineObjective, matrices: list[Array], also: Array | None,
    observer: Observer | None,
) -> list[Array]:  # fmt: skip
    """The matrices in their order, but an upright one first if the turned one before it gains too little.

    Blocks of different brightness share as much information when they are exchanged: of what is alike,
    the orientation that the headers say is the likelier one.
    """
    grid, options = problem.fixed.grid, problem.options
    upright = next((k for k, m in enumerate(matrices) if not turned(m, grid, also)), None)
    if upright is None:
        return matrices
    ends = [
        minimise(
            objective,
            matrices[k],
            options,
            options.affine_iterations,
            stage="affine",
            observe=_told(observer, name),
        )
        for k, name in ((0, "turned"), (upright, "upright"))
    ]
    first, second = (end.evaluation.energy.total for end in ends)
    rest = [matrix for k, matrix in enumerate(matrices) if k not in (0, upright)]
    states = [end.state for end in (ends if first < (1 + LEAST_GAIN) * second else ends[::-1])]
    return [*states, *rest]


def _told(observer: Observer | None, start: str) -> Observer | None:
    """An observer that is told which start every step is from."""
    if observer is None:
        return None
    return lambda step: observer(Trial(**vars(step), start=start))


def _alternatives(objective: AffineObjective, matrices: list[Array], share: float) -> list[Array]:
    """Of matrices in the order of their energies those that are apart and have this share of the first's."""
    energies = [objective.evaluate(matrix).energy.total for matrix in matrices]
    near = [
        matrix
        for matrix, energy in zip(matrices, energies, strict=True)
        if energy <= share * energies[0]
    ]
    return _apart(objective, near or matrices[:1], NEIGHBOURS)
