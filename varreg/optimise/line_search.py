r"""Backtracking line search: the step is shortened until the Armijo condition holds without folds.

A step t along a direction d is accepted if (Armijo, doi 10.2140/pjm.1966.16.1)

.. math:: E(z + t d) \le E(z) + c\,t\,\langle g, d\rangle .

Trials that fold have infinite energy.  The direction is then masked around the folded cell, for up to a few
cells in succession, because one nearly folded cell would block the step everywhere.  The step is shortened only
if the masked direction has too small a slope, or if too many cells fold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..backends.vectors import dot
from ..errors import DivergenceError
from .objective import Ahead, Evaluation, Objective

ARMIJO = 1e-4
MOST_BACKTRACKS = 25
#: Relative rounding error of the energy: smaller decreases cannot be resolved.
RESOLUTION = 1e-8
#: Number of trials after which the search ends if the expected decrease cannot be resolved.
PATIENCE = 3
#: First trials of a search, which are likely to be accepted: a device computes their gradient with their energy.
LIKELY = 2
#: Most folded cells masked in one search, and the least fraction of the slope that must remain.
MOST_CELLS, LEAST_SLOPE = 12, 0.1


def backtrack(
    objective: Objective,
    state: Any,
    evaluation: Evaluation,
    gradient: Array,
    direction: Array,
    slope: float,
    step: float,
    largest_step: float,
    where: str,
    shortest_step: float = 0.0,
    ahead: Callable[[Array], Ahead] | None = None,
) -> tuple[Any, Evaluation, Array, float, int] | None:
    """First step that satisfies the Armijo condition; None if no step lowers the energy.

    Parameters
    ----------
    objective : Objective
    state, evaluation, gradient
        Start of the search, with its energy and gradient.
    direction : array
        Search direction in the coordinates of the gradient.
    slope : float
        Inner product of gradient and direction.
    step : float
        Length of the first trial step.
    largest_step : float
        Largest displacement of a point, in voxels of the level; longer steps are shortened.
    where : str
        Stage, level and iteration, for messages.
    shortest_step : float
        Steps with a smaller largest displacement, in voxels of the level, are not shortened further.
    ahead : callable, optional
        For trials that are likely to be accepted, a function of the change of the coordinates; it returns the
        argument `ahead` of :meth:`varreg.optimise.objective.Objective.evaluate`.

    Returns
    -------
    state, evaluation
        New state and its evaluation.
    change : array
        Change of the coordinates: `step` times the direction, masked if necessary.
    step : float
        Length of the step.
    backtracks : int
        Number of rejected trials.

    Raises
    ------
    DivergenceError
        If an energy is NaN or minus infinity.
    """
    before, folds = evaluation.energy.total, 0
    for backtracks in range(MOST_BACKTRACKS if slope < 0 else 0):
        moved = objective.move(state, direction, step, largest_step)
        new = objective.evaluate(
            moved.state, ahead(moved.change) if ahead and backtracks < LIKELY else None
        )
        energy, step = new.energy.total, moved.step.result()
        if np.isnan(energy) or energy == -np.inf:
            raise DivergenceError(f"varreg.solve: the energy is {energy} ({where}).")
        if energy <= before + ARMIJO * step * slope:
            return moved.state, new, moved.change, step, backtracks
        folds += np.isinf(energy)
        if np.isinf(energy) and folds <= MOST_CELLS:
            instead = objective.direction_off_fold(direction)
            if instead is not None and dot(gradient, instead) < LEAST_SLOPE * slope:
                direction, slope = instead, dot(gradient, instead)
                continue
        if backtracks >= PATIENCE and -step * slope <= RESOLUTION * abs(before):
            break
        if step * objective.largest_step(direction) < shortest_step:
            break
        step *= 0.5 if np.isinf(energy) else _shrink(before, slope, step, energy)
    return None


def _shrink(energy: float, slope: float, step: float, new_energy: float) -> float:
    """Minimiser of the parabola through the two energies and the slope, clipped to [0.1, 0.5]."""
    curvature = new_energy - energy - slope * step
    best = -slope * step / (2 * curvature) if curvature > 0 else 0.5
    return min(max(best, 0.1), 0.5)
