"""Descent: one loop for the affine and the deformable stage.

In coordinates z in which the smoothness term is half a squared norm, the steepest descent direction
is the Sobolev gradient.  ``memory = 0`` follows it with backtracking: the method of section 2.3.3 of
doi 10.3390/math14122131.  ``memory > 0`` takes the directions of limited-memory BFGS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..errors import DivergenceError
from ..options.options import Options
from .history import Iteration, Stop
from .lbfgs import LBFGS, dot
from .line_search import backtrack
from .objective import Evaluation, Objective

#: Energy gained by this many steps together decides about stagnation.
WINDOW = 5


@dataclass(frozen=True)
class Descent:
    """The end of a descent.

    Attributes
    ----------
    state : Any
    evaluation : Evaluation
        Of the state.
    stop : Stop
    iterations, evaluations : int
        Accepted steps, and energies that were computed.
    gradient_reduction : float
        Norm of the last gradient / norm of the first.
    """

    state: Any
    evaluation: Evaluation
    stop: Stop
    iterations: int
    evaluations: int
    gradient_reduction: float


def minimise(
    objective: Objective,
    state: Any,
    options: Options,
    iterations: int,
    *,
    start: Evaluation | None = None,
    shortest_step: float = 0.0,
    stage: str = "descent",
    level: int = 0,
    factor: float = 1.0,
    observe: Callable[[Iteration], None] | None = None,
) -> Descent:
    """Descend until a stopping rule holds.

    Parameters
    ----------
    objective : Objective
    state : Any
        The start; it must not fold.
    options : Options
        Memory, tolerances and the largest step.
    iterations : int
        Most accepted steps.
    start : Evaluation, optional
        Of the state, if that is known.
    shortest_step : float
        A step that moves no point further than this, in voxels, is not shortened any more.
    stage, level, factor
        For records and messages: see :class:`varreg.optimise.history.Iteration`.
    observe : callable, optional
        Called with the start (iteration 0) and after each accepted step.

    Returns
    -------
    Descent

    Raises
    ------
    DivergenceError
        If the start is not feasible, or an energy or a gradient is not finite.
    """
    where = f"{stage} stage, level {level}"
    evaluation = _finite(start or objective.evaluate(state), where)
    gradient = evaluation.gradient()
    first_norm = norm = _norm(gradient, where, 0)
    lbfgs, energies, evaluations = LBFGS(options.memory), [evaluation.energy.total], 1
    first_step, stop, iteration, step, backtracks = 1.0, Stop.BUDGET, 0, 0.0, 0

    def record() -> None:
        if observe is not None:
            energy, bound = evaluation.energy, evaluation.smallest_determinant
            observe(
                Iteration(
                    stage, level, factor, iteration, energy.total, energy.similarity,
                    energy.smoothness, step, backtracks, norm, objective.largest_displacement(state), bound,
                )
            )  # fmt: skip

    record()
    while iteration < iterations:
        if norm <= options.gradient_tolerance * first_norm:
            stop = Stop.STATIONARY if iteration == 0 else Stop.GRADIENT
            break
        if _stagnates(energies, options.energy_tolerance):
            stop = Stop.STAGNATION
            break
        found = backtrack(
            objective, state, evaluation, gradient, lbfgs.direction(gradient), first_step,
            options.largest_step, f"{where}, iteration {iteration + 1}", shortest_step,
        )  # fmt: skip
        if found is None and lbfgs.reset():
            continue
        if found is None:
            stop = Stop.LINE_SEARCH
            break
        state, evaluation, change, step, backtracks = found
        iteration, evaluations = iteration + 1, evaluations + backtracks + 1
        previous, gradient = gradient, evaluation.gradient()
        norm = _norm(gradient, where, iteration)
        lbfgs.update(change, gradient - previous)
        # without memory the last step is the only hint of the next one's length
        first_step = 1.0 if options.memory else 2 * step
        energies.append(evaluation.energy.total)
        record()
    reduction = norm / first_norm if first_norm > 0 else 0.0
    return Descent(state, evaluation, stop, iteration, evaluations, reduction)


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


def _finite(evaluation: Evaluation, where: str) -> Evaluation:
    energy = evaluation.energy.total
    if not np.isfinite(energy):
        raise DivergenceError(
            f"varreg.solve: the energy is {energy} ({where}, iteration 0); the start folds or leaves"
            " the moving image."
        )
    return evaluation
