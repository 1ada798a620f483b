"""The problem that a descent minimises: energies at states, their gradients, moves."""

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
    """The energy of one state, with its gradient.

    Attributes
    ----------
    energy : Energy
        Its total is infinite where the state folds.
    gradient : callable
        Gradient of the energy at this state in the coordinates of the descent, computed when it is
        called.  What was evaluated since makes no difference but that of time.
    smallest_determinant : float
        Bound of det(id + grad u) over every point.
    in_view : float
        Fraction of the fixed voxels inside the mask which map to moving voxels inside the mask.
    """

    energy: Energy
    gradient: Callable[[], Array]
    smallest_determinant: float = 1.0
    in_view: float = 1.0


class Move(NamedTuple):
    """Where a step leads."""

    state: Any
    change: Array  # of the coordinates
    step: Later[float]  # its length: on a device waited for with the energy that it leads to


class Objective(Protocol):
    """The energy as a function of a state."""

    def evaluate(self, state: Any, ahead: Ahead | None = None) -> Evaluation:
        """Energy at a state.

        Parameters
        ----------
        state : Any
        ahead : callable, optional
            Says that the gradient will probably be wanted, too: on a device it is then computed before the energy is
            waited for, and handed to this if it stays there.
        """

    def move(self, state: Any, direction: Array, step: float, largest: float = math.inf) -> Move:
        """The state reached from `state` by `step * direction`, or by less: no point moves further than `largest` voxels."""

    def largest_step(self, direction: Array) -> float:
        """Largest displacement of a unit step along `direction`, in voxels of the level."""

    def largest_displacement(self, state: Any) -> float:
        """Largest displacement of the state, in mm."""

    def precondition(self, gradient: Array) -> Array:
        """A symmetric positive definite approximation of the inverse Hessian, times a gradient."""

    def direction_off_fold(self, direction: Array) -> Array | None:
        """The direction without its part where the last trial folded, if there is such a place."""


def limited(step: float, unit: float, largest: float) -> float:
    """The step, or the longest one that moves no point further than `largest`, where a unit step moves one by `unit`.

    Examples
    --------
    >>> limited(1.0, 4.0, 2.0), limited(1.0, 0.0, 2.0)
    (0.5, 1.0)
    """
    return min(step, largest / unit) if unit > 0 else step
