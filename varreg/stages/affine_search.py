"""Search over initialisations of the affine stage.

The energies of many initialisations are compared at the coarsest level, followed by a few steps from the best of
them.  If the field of view truncates the anatomy, coarse images cannot distinguish the correct initialisation from
wrong ones with more overlap: then the best are continued at the next level, and compared at a fine level.
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

#: Number of initialisations refined at the coarsest affine level, of complete and of truncated images.
KEPT, KEPT_OF_CUT = 3, 12
#: Distance of corners, in voxels of the level, up to which initialisations are merged after their evaluation ...
NEIGHBOURS = 3.0
#: ... and before it.
SAME = 0.5
#: Number of steps from each refined initialisation.
TRIAL_STEPS = 6
#: Model of the trials with truncated images: at coarse levels, scales and shear that squeeze a head into the visible part
#: of the other image gain more than the correct rotation.
TRIED = {"translation": "translation", "rigid": "rigid", "similarity": "rigid", "affine": "rigid"}
#: Trial steps with a smaller displacement of corners, in voxels of the level, are not shortened further.
SHORTEST_TRIAL_STEP = 0.005
#: Fraction of the lowest energy that initialisations of truncated images need at the coarsest level, and at the next
#: level for a trial with scales and shear.
CLOSE, ALIKE = 0.85, 0.95
#: Least relative gain of energy by a map with a quarter or half turn over one without.
LEAST_GAIN = 0.05
#: Level of the final comparison, if there are several.
JUDGE = -2


def best_initialisation(
    problem: Problem, model: str, names: tuple[str, ...], factors: Sequence[float],
    observer: Observer | None, also: Array | None = None,
) -> Array:  # fmt: skip
    """Best initialisation for the coarsest level.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    names : tuple of str
        See :func:`varreg.stages.initialisations.candidates`.
    factors : sequence of float
        Coarsening factors of all possible affine levels.
    observer : callable or None
        Called with every step; steps of the search are not recorded.
    also : (d + 1, d + 1) array, optional
        One more initialisation.

    Returns
    -------
    (d + 1, d + 1) array
        Fixed world -> moving world (mm).
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
    """Best initialisation of truncated images: those of similar energy are compared at finer levels."""
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
    """Objective of a level of the affine stage; if held, stretches relative to the reference are penalised."""
    similarity = problem.similarity(factor, tuple(map(affine_choice, problem.names)))
    weight = problem.options.similarity_weight
    stretch = weight * STRETCH_WEIGHT * held
    guides = problem.points, problem.options.points_weight
    return AffineObjective(similarity, model, weight, stretch, reference, *guides)


def _best(
    problem: Problem, objective: AffineObjective, names: tuple[str, ...], model: str, factor: float,
    also: Array | None,
) -> list[Array]:  # fmt: skip
    """Distinct initialisations in increasing order of energy."""
    given = [] if also is None else [also]
    turn, scaled = model != "translation", model in ("similarity", "affine")
    found = candidates(*problem.level(factor), names, turn, scaled)
    found = _apart(objective, [*given, *found], SAME)
    evaluations = [objective.evaluate(matrix) for matrix in found]
    order = sorted(range(len(found)), key=lambda k: (evaluations[k].energy.total, k))
    check_view(evaluations[order[0]])
    return _apart(objective, [found[k] for k in order], NEIGHBOURS)


def _apart(objective: AffineObjective, matrices: list[Array], least: float) -> list[Array]:
    """Matrices further than `least` voxels from all previous ones; others would converge to the same map."""
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
    """Results of a few steps from each initialisation, in increasing order of energy."""
    if len(matrices) == 1:
        return matrices
    options = problem.options
    steps = min(options.affine_iterations, TRIAL_STEPS)
    ended = [
        minimise(
            objective, matrix, options, steps, shortest_step=SHORTEST_TRIAL_STEP, stage="affine",
            factor=factor, observe=_trial_observer(observer, described(matrix, *problem.level(factor))),
        )
        for matrix in matrices
    ]  # fmt: skip
    return [descent.state for descent in sorted(ended, key=lambda d: d.evaluation.energy.total)]


def _least_turned(
    problem: Problem, objective: AffineObjective, matrices: list[Array], also: Array | None,
    observer: Observer | None,
) -> list[Array]:  # fmt: skip
    """Matrices with the best upright one moved to the front, unless the turned first one is clearly better.

    Mutual information hardly changes if structures of different brightness are exchanged by a turn; of similar
    energies, the one with the orientation of the headers is more plausible.
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
            observe=_trial_observer(observer, name),
        )
        for k, name in ((0, "turned"), (upright, "upright"))
    ]
    first, second = (end.evaluation.energy.total for end in ends)
    rest = [matrix for k, matrix in enumerate(matrices) if k not in (0, upright)]
    states = [end.state for end in (ends if first < (1 + LEAST_GAIN) * second else ends[::-1])]
    return [*states, *rest]


def _trial_observer(observer: Observer | None, start: str) -> Observer | None:
    """Observer of trial steps, which include the description of their initialisation."""
    if observer is None:
        return None
    return lambda step: observer(Trial(**vars(step), start=start))


def _alternatives(objective: AffineObjective, matrices: list[Array], share: float) -> list[Array]:
    """Distinct matrices, from a list sorted by energy, with at least a share of the energy of the first."""
    energies = [objective.evaluate(matrix).energy.total for matrix in matrices]
    near = [
        matrix
        for matrix, energy in zip(matrices, energies, strict=True)
        if energy <= share * energies[0]
    ]
    return _apart(objective, near or matrices[:1], NEIGHBOURS)
