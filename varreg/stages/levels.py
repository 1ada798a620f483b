"""What both stages share: records, rules, and the energy of an affine map."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..energy.affine import AffineObjective
from ..errors import OverlapError
from ..optimise.history import Energy, Iteration, Level, Stop
from ..optimise.minimise import Descent, Rules, Step, minimise
from ..optimise.objective import Objective
from ..similarity import Similarity, affine_choice, deformable_choice
from .problem import Problem

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


def lower(objective: Objective, carried: Any, origin: Any) -> Any:
    """The state to start a level from: coarser levels may have drifted off a good start."""
    return (
        origin
        if objective.evaluate(origin).energy <= objective.evaluate(carried).energy
        else carried
    )


def affine_energy(
    problem: Problem,
    affine: Array,
    needs_view: bool = True,
    deformable: bool = False,
    level: int = -1,
) -> Energy:
    """The energy of an affine map at a level, the finest, of the similarity of either stage."""
    name = problem.options.similarity
    name = deformable_choice(name, coarsest=False) if deformable else affine_choice(name)
    matching = problem.matching(problem.factors[level], name)
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
