"""Descent: one loop for the affine and the deformable stage.

In coordinates z in which the smoothness term is half a squared norm, the steepest descent direction
is the Sobolev gradient.  ``memory = 0`` follows it with backtracking: the method of section 2.3.3 of
doi 10.3390/math14122131.  ``memory > 0`` improves the metric by the last step pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..errors import DivergenceError
from .history import Stop
from .lbfgs import Metric, dot
from .line_search import backtrack
from .objective import Objective, Trial

#: Energy gained by this many steps together decides about stagnation.
WINDOW = 5


@dataclass(frozen=True)
class Rules:
    """Step and stopping rules: see :class:`varreg.Options`."""

    iterations: int
    memory: int
    gradient_tolerance: float
    energy_tolerance: float
    largest_step: float
    shortest_step: float = 0.0


@dataclass(frozen=True)
class Step:
    """One accepted step, as reported to the observer."""

    iteration: int
    trial: Trial
    step: float
    backtracks: int
    gradient_norm: float
    size: float


@dataclass(frozen=True)
class Descent:
    """Where :func:`minimise` ended."""

    state: Any
    trial: Trial
    stop: Stop
    iterations: int
    evaluations: int
    gradient_reduction: float


def minimise(
    objective: Objective,
    state: Any,
    rules: Rules,
    observe: Callable[[Step], None],
    where: str = "descent",
) -> Descent:
    """Descend until a stopping rule holds.

    Parameters
    ----------
    objective : Objective
    state : Any
        The start; it must not fold.
    rules : Rules
    observe : callable
        Called with the start (iteration 0) and after each accepted step.
    where : str
        Stage and level, for messages.

    Raises
    ------
    DivergenceError
        If the start is not feasible, or an energy or a gradient is not finite.
    """
    trial = _finite(objective.evaluate(state), where, 0)
    gradient = objective.gradient()
    first_norm = norm = _norm(gradient, where, 0)
    observe(Step(0, trial, 0.0, 0, norm, objective.size(state)))
    metric, energies, evaluations = Metric(rules.memory), [trial.energy], 1
    first_step, stop, iteration = 1.0, Stop.BUDGET, 0
    while iteration < rules.iterations:
        if norm <= rules.gradient_tolerance * first_norm:
            stop = Stop.STATIONARY if iteration == 0 else Stop.GRADIENT
            break
        if _stagnates(energies, rules.energy_tolerance):
            stop = Stop.STAGNATION
            break
        direction = metric.direction(gradient)
        place = f"{where}, iteration {iteration + 1}"
        found = backtrack(
            objective, state, trial, gradient, direction, first_step, rules.largest_step, place,
            rules.shortest_step,
        )  # fmt: skip
        if found is None and metric.forget():
            continue
        if found is None:
            stop = Stop.LINE_SEARCH
            break
        iteration += 1
        previous, state, trial = gradient, found.state, found.trial
        evaluations += found.backtracks + 1
        gradient = objective.gradient()
        norm = _norm(gradient, where, iteration)
        metric.learn(found.change, gradient - previous)
        # without a metric the last step is the only hint of the next one's length
        first_step = 1.0 if rules.memory else 2 * found.step
        energies.append(trial.energy)
        observe(Step(iteration, trial, found.step, found.backtracks, norm, objective.size(state)))
    reduction = norm / first_norm if first_norm > 0 else 0.0
    return Descent(state, trial, stop, iteration, evaluations, reduction)


def _stagnates(energies: list[float], tolerance: float) -> bool:
    if len(energies) <= WINDOW:
        return False
    return energies[-1 - WINDOW] - energies[-1] <= tolerance * (energies[0] - energies[-1])


def _norm(gradient: Array, where: str, iteration: int) -> float:
    norm = float(np.sqrt(dot(gradient, gradient)))
    if not np.isfinite(norm):
        raise DivergenceError(
            f"varreg.solve: the gradient is not finite ({where}, iteration {iteration})."
        )
    return norm


def _finite(trial: Trial, where: str, iteration: int) -> Trial:
    if not np.isfinite(trial.energy):
        raise DivergenceError(
            f"varreg.solve: the energy is {trial.energy} ({where}, iteration {iteration});"
            " the start folds or leaves the moving image."
        )
    return trial
