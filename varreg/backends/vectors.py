"""Linear combinations and inner products of arrays, on the host or on a device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import Array
from .later import Later, known
from .namespace import kernels_for

#: Size up to which BLAS does not use several threads.
SHORT = 4096
Pairs = Sequence[tuple[Array, Array]]


def dot(a: Array, b: Array) -> float:
    """Inner product; see :func:`inner_products`."""
    return inner_products([(a, b)]).result()[0]


def inner_products(pairs: Pairs) -> Later[list[float]]:
    """Inner products of pairs of arrays, all of the same size.

    Parameters
    ----------
    pairs : sequence of (array, array)

    Returns
    -------
    Later of list of float

    Examples
    --------
    >>> inner_products([(np.arange(3.0), np.ones(3)), (np.ones(3), np.ones(3))]).result()
    [3.0, 3.0]
    """
    if isinstance(pairs[0][0], np.ndarray):
        return known([_dot(a, b) for a, b in pairs])
    kernels = kernels_for(pairs[0][0])
    found: Later[list[float]] = kernels.later(kernels.vectors.inner_products, pairs)
    return found


def combination(coefficients: Sequence[float], arrays: Sequence[Array]) -> Array:
    """Linear combination of arrays.

    Examples
    --------
    >>> combination([2.0, -1.0], [np.ones(2), np.arange(2.0)]).tolist()
    [2.0, 1.0]
    """
    if not isinstance(arrays[0], np.ndarray):
        return kernels_for(arrays[0]).vectors.combination(coefficients, arrays)
    total = coefficients[0] * arrays[0]
    for coefficient, array in zip(coefficients[1:], arrays[1:], strict=True):
        total += coefficient * array
    return total


def largest_length(field: Array) -> Later[float]:
    """Largest length of the vectors of a field (d, ...); on a device infinite if a vector is not finite."""
    if isinstance(field, np.ndarray):
        return known(float(np.sqrt(np.square(field).sum(0).max())))
    kernels = kernels_for(field)
    found: Later[float] = kernels.later(kernels.vectors.largest_length, field)
    return found


def number(value: Any) -> Later[float]:
    """Value of an array of one element, on the host."""
    if isinstance(value, (float, np.ndarray, np.generic)):
        return known(float(value))
    kernels = kernels_for(value)
    found: Later[float] = kernels.later(kernels.vectors.number, value)
    return found


def _dot(a: Array, b: Array) -> float:
    """Inner product; not by BLAS for long arrays, where its rounding depends on the number of threads."""
    if a.size <= SHORT:
        return float(np.vdot(a, b))
    return float(np.einsum("i,i->", a.ravel(), b.ravel()))
