"""Lower bound of det(id + grad u) over each cell between nodes."""

from __future__ import annotations

import itertools

import numpy as np

from ..arrays import Array
from ..folding import HALVED_BELOW

#: Values of a polynomial of degree two at 0, 1/2, 1 -> its Bernstein coefficients.
TO_BERNSTEIN = np.array([[1, 0, 0], [-0.5, 2, -0.5], [0, 0, 1]])
#: Bernstein coefficients -> coefficients on the two halves (de Casteljau), which share the third.
HALVED = np.array([[1, 0, 0], [0.5, 0.5, 0], [0.25, 0.5, 0.25], [0, 0.5, 0.5], [0, 0, 1]])


def cell_bounds(field: Array, spacing: Array) -> Array:
    """Lower bound of det(id + grad u) over each cell between nodes, (.. m - 1 ..); exact in 2D."""
    d = len(field)
    # 2D: affine in the position.  3D: quadratic in each coordinate.
    stops = (0.0, 1.0) if d == 2 else (0.0, 0.5, 1.0)
    values = np.array(
        [_determinant(field, spacing, at) for at in itertools.product(stops, repeat=d)]
    )
    values = values.reshape((len(stops),) * d + values.shape[1:])
    if d == 2:
        return np.asarray(values.min(axis=(0, 1)))
    coefficients = _transformed(TO_BERNSTEIN, values)
    bounds = np.asarray(coefficients.min(axis=(0, 1, 2)))
    low = bounds < HALVED_BELOW
    bounds[low] = _transformed(HALVED, coefficients[..., low]).min(axis=(0, 1, 2))
    return bounds


def _transformed(matrix: Array, values: Array) -> Array:
    """Product with a matrix along each of the first three axes."""
    for axis in range(3):
        values = np.moveaxis(np.tensordot(matrix, values, (1, axis)), 0, axis)
    return values


def _determinant(field: Array, spacing: Array, at: tuple[float, ...]) -> Array:
    """det(id + grad u) of every cell at the local coordinates `at`, in [0, 1]^d."""
    d = len(field)
    columns = []
    for axis in range(d):
        part = np.diff(field, axis=axis + 1) / spacing[axis]
        for other in range(d):
            if other != axis:
                low = np.take(part, range(part.shape[other + 1] - 1), axis=other + 1)
                high = np.take(part, range(1, part.shape[other + 1]), axis=other + 1)
                part = (1 - at[other]) * low + at[other] * high
        part[axis] += 1
        columns.append(part)
    return np.linalg.det(np.moveaxis(np.array(columns), (0, 1), (-1, -2)))
