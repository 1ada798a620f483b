"""What the descent knows of a problem: energies at trial states, a gradient, a way to move."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from ..backends.arrays import Array


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
