"""Limited-memory BFGS (Liu and Nocedal, doi 10.1007/BF01589116), vector-free: with a matrix of inner products.

All vectors of the two-loop recursion are linear combinations of the gradient and of the stored steps and changes of
the gradient; the recursion operates on their coefficients.  All inner products of a step are therefore available
before the recursion starts, and take one launch on a device.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from operator import mul
from typing import NamedTuple

import numpy as np

from ..backends.arrays import Array
from ..backends.later import Later
from ..backends.vectors import combination, inner_products

#: Number of last steps whose sum estimates the effect of further steps.
RECENT = 6


class Arrival(NamedTuple):
    """A new gradient, the step to it, and their inner products; P is the initial inverse Hessian."""

    gradient: Array
    step: Array | None
    change: Array | None  # y, the change of the gradient
    products: list[
        float
    ]  # <g, g>, <g, P g>, and if there is a step s: <s, y>, <s, s>, <y, y>, <y, P y>, <s, g>, <g, P y>
    by_steps: list[float]  # <s_i, y> for all stored pairs
    by_changes: list[float]  # <y_i, P y>


class LBFGS:
    """Approximation of the inverse Hessian from the last pairs (step, change of the gradient).

    Without memory it is the identity, which is the inverse of the smoothness operator in coordinates
    in which the smoothness term is half a squared norm.

    Parameters
    ----------
    memory : int
        Largest number of stored pairs; 0 for the identity.
    precondition : callable, optional
        Product of the initial inverse Hessian P, symmetric and positive definite, with an array; by default the identity.
    """

    def __init__(self, memory: int, precondition: Callable[[Array], Array] | None = None) -> None:
        self._precondition = precondition if memory else None
        self._memory = memory
        self._gradient: Array | None = None
        self._steps: deque[Array] = deque()
        self._changes: deque[Array] = deque()
        self._steps_gradient: deque[float] = deque()  # <s_i, g>
        self._changes_gradient: deque[float] = deque()  # <y_i, P g>
        self._curvatures: Array = np.zeros(
            (0, 0)
        )  # <s_i, y_j> for j >= i, symmetrically continued below the diagonal
        self._squares: Array = np.zeros((0, 0))  # <y_i, P y_j>

    def ask(self, gradient: Array, step: Array | None = None) -> Later[Arrival]:
        """Inner products of a new gradient, and of the step to it from the previous one."""
        known = self._preconditioned(gradient)
        pairs = [(gradient, gradient), (gradient, known)]
        if step is None or not self._memory:
            return inner_products(pairs).then(
                lambda found: Arrival(gradient, None, None, found, [], [])
            )
        assert self._gradient is not None
        change = gradient - self._gradient
        far = self._preconditioned(change)
        pairs += [(step, change), (step, step), (change, change), (change, far), (step, gradient), (gradient, far)]  # fmt: skip
        begin, end = len(pairs), len(pairs) + len(self._steps)
        pairs += [(one, change) for one in self._steps] + [(one, far) for one in self._changes]
        return inner_products(pairs).then(
            lambda found: Arrival(
                gradient, step, change, found[:begin], found[begin:end], found[end:]
            )
        )

    def update(self, arrival: Arrival) -> float:
        """Update with a new gradient, and return its norm.

        A pair is stored if its curvature is positive; otherwise the matrix would become indefinite.
        """
        self._gradient = arrival.gradient
        self._squared, self._preconditioned_squared = arrival.products[:2]
        if arrival.step is not None and arrival.change is not None:
            self._steps_gradient = _sum(self._steps_gradient, arrival.by_steps)
            self._changes_gradient = _sum(self._changes_gradient, arrival.by_changes)
            curvature, steps, changes = arrival.products[2:5]
            if curvature > 1e-10 * np.sqrt(steps * changes):
                self._keep(arrival, arrival.step, arrival.change)
        return float(np.sqrt(self._squared))

    def _keep(self, arrival: Arrival, step: Array, change: Array) -> None:
        curvature, _, _, changes, by_step, by_change = arrival.products[2:]
        if len(self._steps) == self._memory:
            for kept in (self._steps, self._changes, self._steps_gradient, self._changes_gradient):
                kept.popleft()
            self._curvatures, self._squares = self._curvatures[1:, 1:], self._squares[1:, 1:]
            arrival = arrival._replace(by_steps=arrival.by_steps[1:], by_changes=arrival.by_changes[1:])  # fmt: skip
        self._steps.append(step)
        self._changes.append(change)
        self._steps_gradient.append(by_step)
        self._changes_gradient.append(by_change)
        self._curvatures = _bordered(self._curvatures, arrival.by_steps, curvature)
        self._squares = _bordered(self._squares, arrival.by_changes, changes)

    def direction(self) -> tuple[Array, float]:
        """Search direction by the two-loop recursion, and its inner product with the gradient.

        The direction is the product of the negative inverse Hessian with the last gradient.
        """
        gradient = self._gradient
        assert gradient is not None
        if not self._steps:
            return -self._preconditioned(gradient), -self._preconditioned_squared
        factors, weights, scale = self._coefficients()
        first = combination([-scale, *(-scale * f for f in factors)], [gradient, *self._changes])
        direction = combination([1.0, *weights], [self._preconditioned(first), *self._steps])
        slope = -scale * (self._preconditioned_squared + _product(factors, self._changes_gradient))
        return direction, slope + _product(weights, self._steps_gradient)

    def _coefficients(self) -> tuple[list[float], list[float], float]:
        """Coefficients of -y_i before and of s_i after the product with P, and the scale of P.

        The scale matches the curvature along the last change of the gradient.
        """
        count, curvatures, squares = len(self._steps), self._curvatures.tolist(), self._squares.tolist()  # fmt: skip
        factors, weights = [0.0] * count, [0.0] * count
        for i in reversed(range(count)):
            after = _product(curvatures[i], factors)  # newer pairs: the rest are still 0
            factors[i] = (-self._steps_gradient[i] - after) / curvatures[i][i]
        scale = curvatures[-1][-1] / squares[-1][-1]
        for i in range(count):
            by_change = -scale * (self._changes_gradient[i] + _product(squares[i], factors))
            before = _product(curvatures[i], weights)  # over older pairs
            weights[i] = factors[i] - (by_change + before) / curvatures[i][i]
        return factors, weights, scale

    def _preconditioned(self, array: Array) -> Array:
        return array if self._precondition is None else self._precondition(array)

    def recent(self) -> Array | None:
        """Sum of the last `RECENT` steps; None if fewer are stored."""
        steps = list(self._steps)[-RECENT:]
        return sum(steps[1:], steps[0]) if len(steps) == RECENT else None

    def reset(self) -> bool:
        """Discard all pairs; return whether there were any."""
        had = len(self._steps) > 0
        for kept in (self._steps, self._changes, self._steps_gradient, self._changes_gradient):
            kept.clear()
        self._curvatures = self._squares = np.zeros((0, 0))
        return had


def _product(one: Iterable[float], other: Iterable[float]) -> float:
    return sum(map(mul, one, other))


def _sum(before: deque[float], more: list[float]) -> deque[float]:
    return deque(a + b for a, b in zip(before, more, strict=True))


def _bordered(matrix: Array, column: list[float], corner: float) -> Array:
    """Matrix bordered by the same row and column."""
    count = len(matrix)
    wider = np.empty((count + 1, count + 1))
    wider[:count, :count] = matrix
    wider[:count, count] = wider[count, :count] = column
    wider[count, count] = corner
    return wider
