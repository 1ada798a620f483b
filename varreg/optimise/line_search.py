r"""The line search: shorten the step until the energy falls enough and nothing folds.

A step t along a direction d is accepted if (Armijo, doi 10.2140/pjm.1966.16.1)

.. math:: E(z + t d) \le E(z) + c\,t\,\langle g, d\rangle .

Trials that fold have infinite energy.  If shortening alone does not unfold them, the direction is
replaced once by one that stands still around the fold: one tight cell must not stop all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..errors import DivergenceError
from .lbfgs import dot
from .objective import Objective, Trial

ARMIJO = 1e-4
MOST_BACKTRACKS = 25
#: Share of the energy that its rounding errors cannot be told from: shorter steps show nothing.
RESOLUTION = 1e-8
#: Folding trials after which the direction is replaced, and trials after which steps too short to show are given up.
PATIENCE = 3


@dataclass(frozen=True)
class Accepted:
    """An accepted step."""

    state: Any
    trial: Trial
    change: Array  # of the coordinates
    step: float
    backtracks: int


def backtrack(
    objective: Objective,
    state: Any,
    trial: Trial,
    gradient: Array,
    direction: Array,
    step: float,
    largest_step: float,
    place: str,
    shortest_step: float = 0.0,
) -> Accepted | None:
    """The first acceptable step, or None if none lowers the energy.

    Parameters
    ----------
    objective : Objective
    state, trial, gradient
        Where the search starts, and its energy and gradient there.
    direction : array
        In the coordinates of the gradient.
    step : float
        First step tried, shortened so that no point moves further than `largest_step` voxels.
    place : str
        Stage, level and iteration, for messages.
    shortest_step : float
        A step that moves no point further than this, in voxels, is not shortened any more.

    Raises
    ------
    DivergenceError
        If an energy is not a number.
    """
    slope, folds, held = dot(gradient, direction), 0, False
    step = _capped(objective, direction, step, largest_step)
    for backtracks in range(MOST_BACKTRACKS if slope < 0 else 0):
        new_state = objective.move(state, direction, step)
        new = objective.evaluate(new_state)
        if np.isnan(new.energy) or new.energy == -np.inf:
            raise DivergenceError(f"varreg.solve: the energy is {new.energy} ({place}).")
        if new.energy <= trial.energy + ARMIJO * step * slope:
            return Accepted(new_state, new, step * direction, step, backtracks)
        folds += np.isinf(new.energy)
        if folds > PATIENCE and not held:
            held, instead = True, objective.hold(gradient)
            if instead is not None and dot(gradient, instead) < 0:
                direction, slope = instead, dot(gradient, instead)
                step = _capped(objective, direction, 1.0, largest_step)
                continue
        if backtracks >= PATIENCE and -step * slope <= RESOLUTION * abs(trial.energy):
            break
        if step * objective.reach(direction) < shortest_step:
            break
        step *= 0.5 if np.isinf(new.energy) else _shrink(trial.energy, slope, step, new.energy)
    return None


def _capped(objective: Objective, direction: Array, step: float, largest: float) -> float:
    reach = objective.reach(direction)
    return largest / reach if reach * step > largest else step


def _shrink(energy: float, slope: float, step: float, new_energy: float) -> float:
    """Minimiser of the parabola through the two energies and the slope, kept in [0.1, 0.5]."""
    curvature = new_energy - energy - slope * step
    best = -slope * step / (2 * curvature) if curvature > 0 else 0.5
    return min(max(best, 0.1), 0.5)
