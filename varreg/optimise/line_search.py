r"""The backtracking line search: shorten the step until the energy falls enough and nothing folds.

A step t along a direction d is accepted if (Armijo, doi 10.2140/pjm.1966.16.1)

.. math:: E(z + t d) \le E(z) + c\,t\,\langle g, d\rangle .

Trials that fold have infinite energy.  The direction is then made to vanish around the cell that folds, for a few
cells one after the other: a nearly folded cell must not stop all others.  Only if little of the slope is left, or more
cells fold, the step is shortened.
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
#: Fraction of the energy that its rounding errors cannot be told from: shorter steps show nothing.
RESOLUTION = 1e-8
#: Trials after which steps too short to show are given up.
PATIENCE = 3
#: Trials of a search that are likely to be accepted: on a device their gradient is computed with their energy.
LIKELY = 2
#: Folding cells that one search takes out of its direction, and the least share of its slope that must be left.
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
    """The first acceptable step, or None if none lowers the energy.

    Parameters
    ----------
    objective : Objective
    state, evaluation, gradient
        Where the search starts, and its energy and gradient there.
    direction : array
        In the coordinates of the gradient.
    slope : float
        Inner product of gradient and direction.
    step : float
        First step tried, shortened so that no point moves further than `largest_step` voxels.
    where : str
        Stage, level and iteration, for messages.
    shortest_step : float
        A step that moves no point further than this, in voxels, is not shortened any more.
    ahead : callable, optional
        If the first trials are likely to be accepted: change of the coordinates -> what is done with the gradient
        there before its energy is waited for; see :meth:`varreg.optimise.objective.Objective.evaluate`.

    Returns
    -------
    state, evaluation
        Where the step leads.
    change : array
        Of the coordinates: `step` times the direction that was taken.
    step : float
    backtracks : int

    Raises
    ------
    DivergenceError
        If an energy is not a number.
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
    """Minimiser of the parabola through the two energies and the slope, kept in [0.1, 0.5]."""
    curvature = new_energy - energy - slope * step
    best = -slope * step / (2 * curvature) if curvature > 0 else 0.5
    return min(max(best, 0.1), 0.5)
