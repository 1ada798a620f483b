"""Mutual information of joint histograms, and their smoothing."""

from __future__ import annotations

import itertools

import numpy as np

from ..arrays import Array
from ..logarithm import logarithm


def information(table: Array, kernel: Array) -> tuple[float, Array]:
    """Sum over regions of N MI in nats, and its derivative with respect to the smoothed table, (R B, B).

    Empty bins and empty regions contribute 0.
    """
    weight = smooth_table(table, kernel).reshape(-1, table.shape[1], table.shape[1])
    mass, fixed, moving = weight.sum((1, 2)), weight.sum(2), weight.sum(1)
    ratio = logarithm(weight) + logarithm(mass)[:, None, None] - logarithm(fixed)[:, :, None]
    ratio = (ratio - logarithm(moving)[:, None, :]) * (weight > 0)
    return float((weight * ratio).sum()), ratio.reshape(table.shape)


def smooth_table(table: Array, kernel: Array) -> Array:
    """Smoothed tables K table K^T of every region, with the banded matrix K; table (R B, B)."""
    matrix = banded(kernel)
    tables = table.reshape(-1, len(matrix), len(matrix))
    return (matrix @ tables @ matrix.T).reshape(table.shape)


def smooth_table_transposed(table: Array, kernel: Array) -> Array:
    """K^T table K of every region; table (R B, B)."""
    matrix = banded(kernel)
    tables = table.reshape(-1, len(matrix), len(matrix))
    return (matrix.T @ tables @ matrix).reshape(table.shape)


def banded(kernel: Array) -> Array:
    """Banded matrix K[b, c] = kernel[c, b - c + reach], (B, B)."""
    bins, reach = len(kernel), kernel.shape[1] // 2
    matrix = np.zeros((bins, bins))
    for c, offset in itertools.product(range(bins), range(-reach, reach + 1)):
        if 0 <= c + offset < bins:
            matrix[c + offset, c] = kernel[c, offset + reach]
    return matrix
