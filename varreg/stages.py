"""The affine stage, a search over a few starts, and what both stages share."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .affine import AffineObjective
from .descent import Descent, Rules, Step, minimise
from .errors import OverlapError
from .history import Energy, Iteration, Level, Stop
from .kernels.arrays import Array
from .objective import Objective
from .problem import Problem
from .similarities import Similarity, affine_choice, deformable_choice
from .starts import candidates

#: Starts that are refined at the coarsest affine level.
KEPT_STARTS = 3
#: Starts that put no corner further apart than this, in voxels of the level, count as one.
NEIGHBOURS = 3.0
#: Starts as near as this are not even compared.
SAME = 0.5
#: Steps after which the most promising of several starts is chosen.
TRIAL_STEPS = 6
#: Steps that move no corner further than this, in voxels of the level, show nothing about a start.
SHORTEST_TRIAL_STEP = 0.005
#: The affine search begins this much coarser than the deformable continuation ...
COARSER = 2.0
#: ... unless that leaves fewer voxels than this along the shortest axis ...
LEAST_VOXELS = 16
#: ... and leaves this many of the finest levels to it.
LEFT_TO_DEFORMABLE = 2

NOTHING_IN_VIEW = (
    "varreg.solve: no voxel of `fixed` meets a voxel of `moving` that counts: the fields of view or"
    " the masks exclude each other; widen the masks, or pass another `start`."
)

Observer = Callable[[Iteration], None]


class Recorder:
    """Collects history and level summaries, and tells the observer."""

    def __init__(self, observer: Observer | None) -> None:
        self.observer = observer
        self.history: list[Iteration] = []
        self.levels: list[Level] = []

    def run(
        self, objective: Objective, state: Any, rules: Rules, stage: str, level: int, factor: float,
        shape: tuple[int, ...],
    ) -> Descent:  # fmt: skip
        """One level of one stage."""

        def observe(step: Step) -> None:
            record = _iteration(step, stage, level, factor)
            self.history.append(record)
            if self.observer is not None:
                self.observer(record)

        begun = time.perf_counter()
        ended = minimise(objective, state, rules, observe, f"{stage} stage, level {level}")
        self.levels.append(
            Level(
                stage, level, factor, shape, ended.iterations, ended.evaluations, ended.stop,
                ended.gradient_reduction, time.perf_counter() - begun,
            )
        )  # fmt: skip
        return ended


def affine_stage(
    problem: Problem, model: str, starts: tuple[str, ...] | Array, last: bool, recorder: Recorder
) -> Array:
    """The affine map, (d + 1, d + 1) fixed world -> moving world.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    starts : tuple of str, or (d + 1, d + 1) array
        Names for :func:`varreg.starts.candidates`, or one start.
    last : bool
        Whether no deformable stage follows; then the finest level is worth its time.
    recorder : Recorder
    """
    factors = affine_factors(problem, last)
    origin = starts if isinstance(starts, np.ndarray) else np.eye(problem.fixed.grid.dim + 1)
    matrix = origin
    for level, factor in enumerate(factors):
        matching = problem.matching(factor, affine_choice(problem.options.similarity))
        objective = AffineObjective(matching, model, problem.options.similarity_weight)
        shape, rules = (
            matching.fixed_grid.shape,
            level_rules(problem, problem.options.affine_iterations),
        )
        if level > 0:
            matrix = lower(objective, matrix, origin)
        elif not isinstance(starts, np.ndarray):
            found = _best_starts(problem, objective, starts, model, factor)
            matrix = _most_promising(objective, found, rules, recorder.observer, factor, shape)
        matrix = recorder.run(objective, matrix, rules, "affine", level, factor, shape).state
    return matrix


def lower(objective: Objective, carried: Any, origin: Any) -> Any:
    """The state to start a level from: coarser levels may have drifted off a good start."""
    return (
        origin
        if objective.evaluate(origin).energy <= objective.evaluate(carried).energy
        else carried
    )


def affine_energy(
    problem: Problem, affine: Array, needs_view: bool = True, deformable: bool = False
) -> Energy:
    """The energy of an affine map at the finest level, of the similarity of either stage."""
    name = problem.options.similarity
    name = deformable_choice(name, coarsest=False) if deformable else affine_choice(name)
    matching = problem.matching(problem.factors[-1], name)
    objective = AffineObjective(matching, "translation", problem.options.similarity_weight)
    trial = objective.evaluate(affine)
    if needs_view:
        check_view(matching)
    return Energy(trial.similarity, trial.smoothness, trial.energy)


def starting_energy(problem: Problem, deformable: bool) -> Energy:
    """The energy of the images as their headers place them, of the similarity of the last stage."""
    identity = np.eye(problem.fixed.grid.dim + 1)
    return affine_energy(problem, identity, needs_view=False, deformable=deformable)


def identical_level(problem: Problem) -> Level:
    """The record of a problem whose answer is the identity."""
    shape = problem.fixed.grid.shape
    return Level("affine", 0, 1.0, shape, 0, 0, Stop.IDENTICAL, 0.0, 0.0)


def affine_factors(problem: Problem, last: bool) -> Sequence[float]:
    """Levels of the affine stage: from one coarser than the deformable continuation."""
    factors = list(problem.factors)
    coarser = COARSER * factors[0]
    if (
        min(problem.fixed.grid.extent) / (coarser * problem.fixed.grid.spacing.min())
        >= LEAST_VOXELS
    ):
        factors.insert(0, coarser)
    return factors if last else factors[: max(len(factors) - LEFT_TO_DEFORMABLE, 1)]


def _best_starts(
    problem: Problem, objective: AffineObjective, names: tuple[str, ...], model: str, factor: float
) -> list[Array]:
    """The start matrices of lowest energy."""
    found = candidates(*problem.level(factor), names, turn=model != "translation")
    found = _apart(objective, found, SAME)
    energies = [objective.evaluate(matrix).energy for matrix in found]
    order = sorted(range(len(found)), key=lambda k: (energies[k], k))
    objective.evaluate(found[order[0]])
    check_view(objective.matching)
    return _apart(objective, [found[k] for k in order], NEIGHBOURS)[:KEPT_STARTS]


def _apart(objective: AffineObjective, matrices: list[Array], least: float) -> list[Array]:
    """The matrices that are further than `least` voxels from all before: others would end alike."""
    apart = objective.distances(np.array(matrices))
    kept: list[int] = []
    for k in range(len(matrices)):
        if not kept or apart[k, kept].min() > least:
            kept.append(k)
    return [matrices[k] for k in kept]


def _most_promising(
    objective: AffineObjective, matrices: list[Array], rules: Rules, observer: Observer | None,
    factor: float, shape: tuple[int, ...],
) -> Array:  # fmt: skip
    """What a few steps from each start lower most, at level 0; these steps are not recorded."""
    if len(matrices) == 1:
        return matrices[0]
    steps = min(rules.iterations, TRIAL_STEPS)
    few = dataclasses.replace(rules, iterations=steps, shortest_step=SHORTEST_TRIAL_STEP)
    tried = []
    for matrix in matrices:
        ended = Recorder(observer).run(objective, matrix, few, "affine", 0, factor, shape)
        tried.append((ended.trial.energy, ended.state))
    return min(tried, key=lambda entry: entry[0])[1]


def check_view(matching: Similarity) -> None:
    if matching.share == 0:
        raise OverlapError(NOTHING_IN_VIEW)


def level_rules(problem: Problem, iterations: int) -> Rules:
    o = problem.options
    return Rules(iterations, o.memory, o.gradient_tolerance, o.energy_tolerance, o.largest_step)


def _iteration(step: Step, stage: str, level: int, factor: float) -> Iteration:
    trial = step.trial
    return Iteration(
        stage, level, factor, step.iteration, trial.energy, trial.similarity, trial.smoothness,
        step.step, step.backtracks, step.gradient_norm, step.size, trial.smallest_determinant,
    )  # fmt: skip
