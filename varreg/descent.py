r"""Descent with backtracking: one loop for the affine and the deformable stage.

In coordinates z in which the smoothness term is half a squared norm, the steepest descent
direction is the Sobolev gradient.  ``memory = 0`` follows it (the paper's method, section 2.3.3);
``memory > 0`` improves the metric by the last step pairs (L-BFGS: Nocedal and Wright, Numerical
Optimization, 2nd ed., algorithm 7.4).  A step t is accepted if it keeps every cell unfolded and
(Armijo) :math:`E(z + t d) \le E(z) + c\,t\,\langle g, d\rangle`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .errors import DivergenceError
from .history import Stop
from .kernels.arrays import Array

ARMIJO = 1e-4
MOST_BACKTRACKS = 25
#: Energy gained by this many steps together decides about stagnation.
WINDOW = 5


@dataclass(frozen=True)
class Trial:
    """The energy at a trial state; `energy` is infinite where the trial folds."""

    energy: float
    similarity: float
    smoothness: float
    smallest_determinant: float = 1.0


class Objective(Protocol):
    """What :func:`minimise` needs to know of a problem."""

    def evaluate(self, state: Any) -> Trial:
        """Energy and its split at a state."""

    def gradient(self) -> Array:
        """Gradient in the descent coordinates at the state evaluated last."""

    def move(self, state: Any, direction: Array, step: float) -> Any:
        """The state reached from `state` by `step * direction`."""

    def reach(self, direction: Array) -> float:
        """Largest displacement of a unit step along `direction`, in voxels of the level."""

    def size(self, state: Any) -> float:
        """Largest displacement of the state, in mm."""

    def hold(self, gradient: Array) -> Array | None:
        """A descent direction that stands still where the last trial folded, if there is one."""


@dataclass(frozen=True)
class Rules:
    """Step and stopping rules: see :class:`varreg.Options`."""

    iterations: int
    memory: int
    gradient_tolerance: float
    energy_tolerance: float
    largest_step: float


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
    metric, energies, evaluations, last_step = Metric(rules.memory), [trial.energy], 1, 1.0
    stop, iteration = Stop.BUDGET, 0
    while iteration < rules.iterations:
        if norm <= rules.gradient_tolerance * first_norm:
            stop = Stop.STATIONARY if iteration == 0 else Stop.GRADIENT
            break
        direction = metric.direction(gradient)
        place = f"{where}, iteration {iteration + 1}"
        found = _search(objective, state, trial, gradient, direction, last_step, rules, place)
        if found is None and metric.forget():
            continue
        if found is None:
            stop = Stop.LINE_SEARCH
            break
        iteration += 1
        previous, (state, trial, taken, step, backtracks, count) = gradient, found
        evaluations += count
        gradient = objective.gradient()
        norm = _norm(gradient, where, iteration)
        metric.learn(taken, gradient - previous)
        last_step = step if rules.memory == 0 else 1.0
        energies.append(trial.energy)
        observe(Step(iteration, trial, step, backtracks, norm, objective.size(state)))
        if _stagnates(energies, rules.energy_tolerance):
            stop = Stop.STAGNATION
            break
    reduction = norm / first_norm if first_norm > 0 else 0.0
    return Descent(state, trial, stop, iteration, evaluations, reduction)


class Metric:
    """The variable metric: identity in z, improved by the last pairs (step, gradient change)."""

    def __init__(self, memory: int) -> None:
        self.pairs: deque[tuple[Array, Array, float]] = deque(maxlen=memory)

    def direction(self, gradient: Array) -> Array:
        """Minus the inverse metric times the gradient, by the two-loop recursion."""
        result = -gradient
        shares = []
        for step, change, curvature in reversed(self.pairs):
            share = _dot(step, result) / curvature
            result -= share * change
            shares.append(share)
        if self.pairs:
            _, change, curvature = self.pairs[-1]
            result *= curvature / _dot(change, change)
        for (step, change, curvature), share in zip(self.pairs, reversed(shares), strict=True):
            result += (share - _dot(change, result) / curvature) * step
        return result

    def learn(self, step: Array, change: Array) -> None:
        """Keep a pair if the energy curves upwards along it (else the metric would be indefinite)."""
        curvature = _dot(step, change)
        if curvature > 1e-10 * np.sqrt(_dot(step, step) * _dot(change, change)):
            self.pairs.append((step, change, curvature))

    def forget(self) -> bool:
        """Drop all pairs; whether there were any."""
        had = len(self.pairs) > 0
        self.pairs.clear()
        return had


def _search(objective, state, trial, gradient, direction, last_step, rules, where):
    """Backtracking from a capped first step; None if no step lowers the energy."""
    slope = _dot(gradient, direction)
    if not slope < 0:
        return None
    step, held, folds = 2.0 * last_step if rules.memory == 0 else 1.0, False, 0
    reach = objective.reach(direction)
    if reach * step > rules.largest_step:
        step = rules.largest_step / reach
    for backtracks in range(MOST_BACKTRACKS):
        new_state = objective.move(state, direction, step)
        new = objective.evaluate(new_state)
        if np.isnan(new.energy) or new.energy == -np.inf:
            raise DivergenceError(f"varreg.solve: the energy is {new.energy} ({where}).")
        if new.energy <= trial.energy + ARMIJO * step * slope:
            return new_state, new, step * direction, step, backtracks, backtracks + 1
        folded = np.isinf(new.energy)
        folds += folded
        if folds > 3 and not held:
            instead = objective.hold(gradient)
            held = True
            if instead is not None and _dot(gradient, instead) < 0:
                direction, slope = instead, _dot(gradient, instead)
                step = min(1.0, rules.largest_step / max(objective.reach(direction), 1e-300))
                continue
        step *= 0.5 if folded else _shrink(trial.energy, slope, step, new.energy)
    return None


def _shrink(energy: float, slope: float, step: float, new_energy: float) -> float:
    """Minimiser of the parabola through the two energies and the slope, kept in [0.1, 0.5]."""
    curvature = new_energy - energy - slope * step
    best = -slope * step / (2 * curvature) if curvature > 0 else 0.5
    return min(max(best, 0.1), 0.5)


def _stagnates(energies: list[float], tolerance: float) -> bool:
    if len(energies) <= WINDOW:
        return False
    return energies[-1 - WINDOW] - energies[-1] <= tolerance * (energies[0] - energies[-1])


def _dot(a: Array, b: Array) -> float:
    # not BLAS, whose sums depend on the number of threads
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))


def _norm(gradient: Array, where: str, iteration: int) -> float:
    norm = float(np.sqrt(_dot(gradient, gradient)))
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
