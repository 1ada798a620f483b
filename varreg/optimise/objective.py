"""Interface of objectives: energies of states, their gradients, and updates of states."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..backends.arrays import Array
from ..backends.later import Later
from .history import Energy

Ahead = Callable[[Array], Any]


@dataclass(frozen=True)
class Evaluation:
    """Energy of one state, with its gradient.

    Attributes
    ----------
    energy : Energy
        Its total is infinite if the state folds.
    gradient : callable
        Gradient of the energy at this state in the coordinates of the descent, computed on
        call.  It may be called after other evaluations, at additional cost.
    smallest_determinant : float
        Lower bound of det(id + grad u) over the field of view.
    in_view : float
        Fraction of the fixed voxels inside the mask which map to moving voxels inside the mask.
    """

    energy: Energy
    gradient: Callable[[], Array]
    smallest_determinant: float = 1.0
    in_view: float = 1.0


class Move(NamedTuple):
    """Update of a state by a step."""

    state: Any
    change: Array  # change of the coordinates
    step: Later[float]  # length of the step; on a device it is waited for together with the energy


class Objective(Protocol):
    """Energy as a function of a state."""

    def evaluate(self, state: Any, ahead: Ahead | None = None) -> Evaluation:
        """Energy at a state.

        Parameters
        ----------
        state : Any
        ahead : callable, optional
            Given if the gradient will probably be needed: on a device it is then computed before the wait for the
            energy, and passed to this function if it is a device array.
        """

    def move(self, state: Any, direction: Array, step: float, largest: float = math.inf) -> Move:
        """State after the change `step * direction`, shortened so that no point moves further than `largest` voxels."""

    def largest_step(self, direction: Array) -> float:
        """Largest displacement of a unit step along `direction`, in voxels of the level."""

    def largest_displacement(self, state: Any) -> float:
        """Largest displacement of the state, in mm."""

    def precondition(self, gradient: Array) -> Array:
        """Product of a symmetric positive definite approximation of the inverse Hessian with a gradient."""

    def direction_off_fold(self, direction: Array) -> Array | None:
        """Direction masked where the last trial folded; None if it did not fold."""


def limited(step: float, unit: float, largest: float) -> float:
    """Step shortened so that no point moves further than `largest`, if a unit step moves one by `unit`.

    Examples
    --------
    >>> limited(1.0, 4.0, 2.0), limited(1.0, 0.0, 2.0)
    (0.5, 1.0)
    """
    return min(step, largest / unit) if unit > 0 else step
