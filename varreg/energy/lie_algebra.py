"""Lie algebras of the affine models: bases, matrix exponential, and logarithm of the stretch."""

from __future__ import annotations

import math

import numpy as np

from ..backends.arrays import Array
from ..errors import GeometryError
from ..geometry.grid import Grid

#: 1 / k! for k = 0 to 8, three per row.
TAYLOR = 1 / np.array([[1, 1, 2], [6, 24, 120], [720, 5040, 40320]])


def log_stretch(linear: Array) -> Array:
    """M = log(B^T B) / 2, (d, d), of a linear map B; its eigenvalues are the logarithms of the scales.

    Examples
    --------
    >>> bool(np.allclose(log_stretch(np.diag([1.0, np.e])), np.diag([0.0, 1.0])))
    True
    """
    squares, axes = np.linalg.eigh(linear.T @ linear)
    return (axes * (0.5 * np.log(np.maximum(squares, np.finfo(float).tiny)))) @ axes.T


def exponential(matrix: Array) -> Array:
    """Exponential of an element of the Lie algebra, (d + 1, d + 1) with a last row of zeros.

    Scaling and squaring with a Taylor series of order 8, exact to rounding; its convergence depends on
    the linear part only.  scipy.linalg.expm starts threads even for a matrix this small, which takes
    milliseconds on a busy machine.
    """
    linear = matrix[:-1, :-1]
    halvings = max(0, math.frexp(math.sqrt(np.vdot(linear, linear)))[1] + 4)
    small = matrix * 0.5**halvings
    square = small @ small
    powers = np.stack([np.eye(len(matrix)), small, square]).reshape(3, -1)
    one, two, three = (TAYLOR @ powers).reshape(3, *matrix.shape)
    cube = square @ small
    result = one + cube @ (two + cube @ three)
    for _ in range(halvings):
        result = result @ result
    return result


def orthonormal_generators(grid: Grid, model: str, unit: float) -> Array:
    """Basis of the Lie algebra of a model about the centre of `grid`, (parameters, d + 1, d + 1).

    The basis is orthogonal with respect to the mean squared displacement over the field of view, and
    each element moves it by `unit` mm (root mean square).
    """
    d = grid.dim
    generators = np.array(_algebra(model, d))
    moment = np.zeros((d + 1, d + 1))  # mean of (x - c, 1) (x - c, 1)^T
    moment[:d, :d] = grid.direction @ np.diag(grid.extent**2 / 12) @ grid.direction.T
    moment[d, d] = 1
    gram = np.einsum("kij,jl,mil->km", generators, moment, generators)
    try:
        factor = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        raise GeometryError(
            f"varreg.solve: the axes of `fixed` ({grid.extent.tolist()} mm long) are nearly parallel; correct the header."
        ) from None
    whitened = np.linalg.solve(factor, generators.reshape(len(generators), -1))
    centre = np.eye(d + 1)
    centre[:d, d] = grid.centre
    return unit * centre @ whitened.reshape(generators.shape) @ np.linalg.inv(centre)


def _algebra(model: str, d: int) -> list[Array]:
    """Generators of the model in centred coordinates."""

    def unit(i: int, j: int) -> Array:
        matrix = np.zeros((d + 1, d + 1))
        matrix[i, j] = 1
        return matrix

    pairs = [(i, j) for i in range(d) for j in range(i + 1, d)]
    generators = [unit(i, d) for i in range(d)]
    if model != "translation":
        generators += [unit(i, j) - unit(j, i) for i, j in pairs]
    if model == "similarity":
        generators.append(np.diag([1.0] * d + [0.0]))
    if model == "affine":
        generators += [unit(i, i) for i in range(d)] + [unit(i, j) + unit(j, i) for i, j in pairs]
    return generators
