"""The variable metric of the descent: limited-memory BFGS (Liu and Nocedal, doi 10.1007/BF01589116)."""

from __future__ import annotations

from collections import deque

import numpy as np

from ..backends.arrays import Array

#: Entries of arrays that BLAS never shares between threads.
SHORT = 4096


class Metric:
    """The variable metric: identity in z, improved by the last pairs (step, gradient change)."""

    def __init__(self, memory: int) -> None:
        self.pairs: deque[tuple[Array, Array, float]] = deque(maxlen=memory)

    def direction(self, gradient: Array) -> Array:
        """Minus the inverse metric times the gradient, by the two-loop recursion."""
        result = -gradient
        shares = []
        for step, change, curvature in reversed(self.pairs):
            share = dot(step, result) / curvature
            result -= share * change
            shares.append(share)
        if self.pairs:
            _, change, curvature = self.pairs[-1]
            result *= curvature / dot(change, change)
        for (step, change, curvature), share in zip(self.pairs, reversed(shares), strict=True):
            result += (share - dot(change, result) / curvature) * step
        return result

    def learn(self, step: Array, change: Array) -> None:
        """Keep a pair if the energy curves upwards along it (else the metric would be indefinite)."""
        curvature = dot(step, change)
        if curvature > 1e-10 * np.sqrt(dot(step, step) * dot(change, change)):
            self.pairs.append((step, change, curvature))

    def forget(self) -> bool:
        """Drop all pairs; whether there were any."""
        had = len(self.pairs) > 0
        self.pairs.clear()
        return had


def dot(a: Array, b: Array) -> float:
    """Inner product; of long arrays not by BLAS, whose sums then depend on the number of threads."""
    if a.size <= SHORT:
        return float(np.dot(a.ravel(), b.ravel()))
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))
