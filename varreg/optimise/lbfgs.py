"""Limited-memory BFGS (Liu and Nocedal, doi 10.1007/BF01589116) by a matrix of inner products.

All vectors that the two-loop recursion makes are combinations of the gradient, the steps and the changes of the
gradient that are kept; the recursion is done with their coefficients.  So the inner products of a step are known
before it begins, and on a device they are one launch.
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

#: Steps whose sum tells how far further ones go.
RECENT = 6


class Arrival(NamedTuple):
    """A new gradient, the step that led there, and their inner products; P is the first inverse Hessian."""

    gradient: Array
    step: Array | None
    change: Array | None  # y, of the gradient
    products: list[
        float
    ]  # <g, g>, <g, P g>, and if there is a step s: <s, y>, <s, s>, <y, y>, <y, P y>, <s, g>, <g, P y>
    by_steps: list[float]  # <s_i, y> of all pairs that are kept
    by_changes: list[float]  # <y_i, P y>


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
        self._precondition = precondition if memory else None
        self._memory = memory
        self._gradient: Array | None = None
        self._steps: deque[Array] = deque()
        self._changes: deque[Array] = deque()
        self._steps_gradient: deque[float] = deque()  # <s_i, g>
        self._changes_gradient: deque[float] = deque()  # <y_i, P g>
        self._curvatures: Array = np.zeros(
            (0, 0)
        )  # <s_i, y_j> of j >= i, and the same below the diagonal
        self._squares: Array = np.zeros((0, 0))  # <y_i, P y_j>

    def ask(self, gradient: Array, step: Array | None = None) -> Later[Arrival]:
        """The inner products of a new gradient, and of the step that has led there from the last one."""
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
        """Follow the descent to a new gradient, and return the norm of that.

        A pair is kept if the energy curves upwards along it (else the matrix would be indefinite).
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
        """Minus the inverse Hessian times the last gradient, by the two-loop recursion; its product with the gradient."""
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
        """Of -y_i before P is applied, of s_i after it, and what P is multiplied by: right along the last change."""
        count, curvatures, squares = len(self._steps), self._curvatures.tolist(), self._squares.tolist()  # fmt: skip
        factors, weights = [0.0] * count, [0.0] * count
        for i in reversed(range(count)):
            after = _product(curvatures[i], factors)  # of newer pairs: the others are still 0
            factors[i] = (-self._steps_gradient[i] - after) / curvatures[i][i]
        scale = curvatures[-1][-1] / squares[-1][-1]
        for i in range(count):
            by_change = -scale * (self._changes_gradient[i] + _product(squares[i], factors))
            before = _product(curvatures[i], weights)  # of older pairs
            weights[i] = factors[i] - (by_change + before) / curvatures[i][i]
        return factors, weights, scale

    def _preconditioned(self, array: Array) -> Array:
        return array if self._precondition is None else self._precondition(array)

    def recent(self) -> Array | None:
        """Sum of the last `RECENT` steps; None if fewer are kept."""
        steps = list(self._steps)[-RECENT:]
        return sum(steps[1:], steps[0]) if len(steps) == RECENT else None

    def reset(self) -> bool:
        """Drop all pairs; whether there were any."""
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
    """The matrix with one more row and column, which are the same."""
    count = len(matrix)
    wider = np.empty((count + 1, count + 1))
    wider[:count, :count] = matrix
    wider[:count, count] = wider[count, :count] = column
    wider[count, count] = corner
    return wider
