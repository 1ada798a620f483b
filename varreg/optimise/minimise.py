"""Descent: the optimisation loop of the affine and of the deformable stage.

In coordinates z in which the smoothness term is half a squared norm, the direction of steepest descent
is the negative Sobolev gradient.  ``memory = 0`` is steepest descent with backtracking, the method of section
2.3.3 of doi 10.3390/math14122131.  ``memory > 0`` is limited-memory BFGS, initialised with an
approximate inverse Hessian of the objective.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..backends.later import Later
from ..errors import DivergenceError
from ..options.options import Options
from .history import Iteration, Stop
from .lbfgs import LBFGS, Arrival
from .line_search import backtrack
from .objective import Evaluation, Objective

#: Number of steps whose total decrease of the energy decides about stagnation.
WINDOW = 5


@dataclass(frozen=True)
class Descent:
    """Result of a descent.

    Attributes
    ----------
    state : Any
        Final state.
    evaluation : Evaluation
        Evaluation of the final state.
    stop : Stop
        Stopping reason.
    iterations, evaluations : int
        Number of accepted steps, and of evaluations of the energy.
    gradient_reduction : float
        Norm of the last gradient / norm of the first.
    recent : Array or None
        Sum of the last steps; see :meth:`varreg.optimise.lbfgs.LBFGS.recent`.
    """

    state: Any
    evaluation: Evaluation
    stop: Stop
    iterations: int
    evaluations: int
    gradient_reduction: float
    recent: Array | None = None


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
    """Minimise an objective until a stopping criterion is met.

    Parameters
    ----------
    objective : Objective
    state : Any
        Initial state, without folds.
    options : Options
        Memory, tolerances and the largest step.
    iterations : int
        Largest number of accepted steps.
    start : Evaluation, optional
        Evaluation of the initial state, if already computed.
    shortest_step : float
        Steps with a smaller largest displacement, in voxels of the level, are not shortened further.
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
    run = _Run(objective, state, options, start, (stage, level, factor), shortest_step, observe)
    while (stop := run.rule_that_holds(iterations)) is None:
        if not run.step():
            stop = Stop.LINE_SEARCH
            break
    reduction = run.norm / run.first_norm if run.first_norm > 0 else 0.0
    return Descent(
        run.state, run.evaluation, stop, run.iteration, run.evaluations, reduction,
        run.lbfgs.recent(),
    )  # fmt: skip


class _Run:
    """State of a running descent."""

    def __init__(
        self,
        objective: Objective,
        state: Any,
        options: Options,
        start: Evaluation | None,
        place: tuple[str, int, float],
        shortest_step: float,
        observe: Callable[[Iteration], None] | None,
    ) -> None:
        self.objective, self.options, self.observe = objective, options, observe
        self.place, self.shortest_step = place, shortest_step
        self.where = f"{place[0]} stage, level {place[1]}"
        self.state, self.iteration = state, 0
        self.evaluation = _finite(start or objective.evaluate(state), self.where)
        self.gradient = self.evaluation.gradient()
        self.lbfgs, self.norm = LBFGS(options.memory, objective.precondition), 0.0
        self.pending: tuple[Array, Later[Arrival]] | None = None  # products of a trial step
        self.arrived(self.lbfgs.ask(self.gradient))
        self.first_norm = self.norm
        self.energies = [self.evaluation.energy.total]
        self.evaluations, self.first_step, self.is_easy = 1, 1.0, True
        self.record(0.0, 0)

    def rule_that_holds(self, iterations: int) -> Stop | None:
        """Stopping criterion that is met, or None."""
        if self.iteration >= iterations:
            return Stop.BUDGET
        if self.norm <= self.options.gradient_tolerance * self.first_norm:
            return Stop.STATIONARY if self.iteration == 0 else Stop.GRADIENT
        if _stagnates(self.energies, self.options.energy_tolerance):
            return Stop.STAGNATION
        return None

    def step(self) -> bool:
        """One step, without L-BFGS memory if that fails; return whether the energy decreased."""
        found = self._search()
        if found is None and self.lbfgs.reset():
            found = self._search()
        if found is None:
            return False
        self.state, self.evaluation, change, length, backtracks = found
        self.iteration += 1
        self.evaluations += backtracks + 1
        self.gradient = self.evaluation.gradient()
        ahead = self.pending[1] if self.pending and self.pending[0] is change else None
        self.arrived(ahead or self.lbfgs.ask(self.gradient, change))
        # without memory step lengths grow until a trial is rejected
        self.is_easy = self.options.memory > 0 or backtracks == 0
        # without memory only the last step indicates the length of the next
        self.first_step = 1.0 if self.options.memory else 2 * length
        self.energies.append(self.evaluation.energy.total)
        self.record(length, backtracks)
        return True

    def _search(self) -> tuple[Any, Evaluation, Array, float, int] | None:
        where = f"{self.where}, iteration {self.iteration + 1}"
        return backtrack(
            self.objective, self.state, self.evaluation, self.gradient, *self.lbfgs.direction(), self.first_step,
            self.options.largest_step, where, self.shortest_step, self.ahead if self.is_easy else None,
        )  # fmt: skip

    def ahead(self, change: Array) -> Callable[[Array], None]:
        """Callback that requests the inner products of the gradient after a change before the step is accepted."""

        def ask(gradient: Array) -> None:
            self.pending = change, self.lbfgs.ask(gradient, change)

        return ask

    def arrived(self, products: Later[Arrival]) -> None:
        """Update L-BFGS and the norm with the gradient at a new state."""
        self.pending = None
        self.norm = self.lbfgs.update(products.result())
        if not np.isfinite(self.norm):
            raise DivergenceError(
                f"varreg.solve: the gradient is not finite ({self.where}, iteration {self.iteration})."
            )

    def record(self, length: float, backtracks: int) -> None:
        """Pass the current iteration to the observer."""
        if self.observe is None:
            return
        energy, bound = self.evaluation.energy, self.evaluation.smallest_determinant
        displacement = self.objective.largest_displacement(self.state)
        self.observe(
            Iteration(
                *self.place, self.iteration, energy.total, energy.similarity, energy.smoothness,
                length, backtracks, self.norm, displacement, bound,
            )
        )  # fmt: skip


def _stagnates(energies: list[float], tolerance: float) -> bool:
    if len(energies) <= WINDOW:
        return False
    return energies[-1 - WINDOW] - energies[-1] <= tolerance * (energies[0] - energies[-1])


def _finite(evaluation: Evaluation, where: str) -> Evaluation:
    energy = evaluation.energy.total
    if not np.isfinite(energy):
        raise DivergenceError(
            f"varreg.solve: the energy is {energy} ({where}, iteration 0); the start folds or leaves"
            " the moving image."
        )
    return evaluation
