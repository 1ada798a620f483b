"""Limited-memory BFGS (Liu and Nocedal, doi 10.1007/BF01589116)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from ..backends.arrays import Array

#: Entries of arrays that BLAS never shares between threads.
SHORT = 4096
#: Steps whose sum tells how far further ones go.
RECENT = 6


class LBFGS:
    """Approximation of the inverse Hessian by the last pairs (step, change of the gradient).

    Without memory it is the identity: in coordinates in which the smoothness term is half a squared
    norm, that is the inverse of the smoothness operator.

    Parameters
    ----------
    memory : int
        Most pairs kept; 0 leaves the identity.
    precondition : callable, optional
        A symmetric positive definite approximation of the inverse Hessian, times an array; by default the identity.
    """

    def __init__(self, memory: int, precondition: Callable[[Array], Array] | None = None) -> None:
        self.precondition = precondition if memory else None
        self.pairs: deque[tuple[Array, Array, float]] = deque(maxlen=memory)

    def direction(self, gradient: Array) -> Array:
        """Minus the inverse Hessian times the gradient, by the two-loop recursion."""
        result = -gradient
        factors = []
        for step, change, curvature in reversed(self.pairs):
            factor = dot(step, result) / curvature
            result -= factor * change
            factors.append(factor)
        if self.precondition is not None:
            result = self.precondition(result)
        if self.pairs:
            result *= self._scale()
        for (step, change, curvature), factor in zip(self.pairs, reversed(factors), strict=True):
            result += (factor - dot(change, result) / curvature) * step
        return result

    def _scale(self) -> float:
        """Factor that makes the initial matrix right along the last change of the gradient."""
        _, change, curvature = self.pairs[-1]
        known = change if self.precondition is None else self.precondition(change)
        return curvature / dot(change, known)

    def update(self, step: Array, change: Array) -> None:
        """Keep a pair if the energy curves upwards along it (else the matrix would be indefinite)."""
        curvature = dot(step, change)
        if curvature > 1e-10 * np.sqrt(dot(step, step) * dot(change, change)):
            self.pairs.append((step, change, curvature))

    def recent(self) -> Array | None:
        """Sum of the last `RECENT` steps; None if fewer are kept."""
        steps = [step for step, _, _ in self.pairs][-RECENT:]
        return sum(steps[1:], steps[0]) if len(steps) == RECENT else None

    def reset(self) -> bool:
        """Drop all pairs; whether there were any."""
        had = len(self.pairs) > 0
        self.pairs.clear()
        return had


def dot(a: Array, b: Array) -> float:
    """Inner product; of long arrays not by BLAS, whose sums then depend on the number of threads."""
    if not isinstance(a, np.ndarray):  # on a device; its sums have one order
        return float((a * b).sum())
    if a.size <= SHORT:
        return float(np.dot(a.ravel(), b.ravel()))
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))
