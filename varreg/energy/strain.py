"""Strain of a displacement at the corners of the cells between its nodes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..backends.arrays import Array
from ..backends.namespace import beside

Box = tuple[slice, ...]


class Corner(NamedTuple):
    """The same corner of all cells."""

    nodes: Box  # nodes at this corner
    gradient: Array  # (d, d, ...) F = 1 + grad u, from the edges that meet there
    ends: list[tuple[Box, Box]]  # slices of the field at the two ends of the edge along each axis


def corners(field: Array, spacing: Array) -> Iterator[Corner]:
    r"""Corners of the cells of a field (d, \*m), with spacing (d,) in the same unit."""
    shape, axes = field.shape[1:], range(len(field))
    identity = np.eye(len(field)).reshape(len(field), len(field), *(1 for _ in axes))
    for corner in itertools.product((0, 1), repeat=len(field)):
        nodes = tuple(slice(c, n - 1 + c) for c, n in zip(corner, shape, strict=True))
        ends, columns = [], []
        for axis in axes:
            low, high = (
                (slice(None), *nodes[:axis], slice(end, shape[axis] - 1 + end), *nodes[axis + 1 :])
                for end in (0, 1)
            )
            ends.append((low, high))
            columns.append((field[high] - field[low]) / spacing[axis])
        yield Corner(nodes, np.stack(columns, axis=1) + beside(identity, field), ends)


def strain(gradient: Array) -> Array:
    """Green-Lagrange strain (F^T F - 1) / 2, (d, d, ...), of a deformation gradient F, (d, d, ...).

    Examples
    --------
    >>> turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    >>> (strain(turn) + 0.0).round(12).tolist(), strain(2 * turn).round(12).tolist()
    ([[0.0, 0.0], [0.0, 0.0]], [[1.5, 0.0], [0.0, 1.5]])
    """
    product = 0.5 * np.einsum("ka...,kb...->ab...", gradient, gradient)
    for axis in range(len(gradient)):
        product[axis, axis] -= 0.5
    return product


def squared_strain(field: Array, spacing: Array) -> Array:
    r"""Squared norm of the strain, averaged over the corners of cells at each node, (\*m)."""
    total = np.zeros_like(field[0])
    for corner in corners(field, spacing):
        total[corner.nodes] += np.square(strain(corner.gradient)).sum((0, 1))
    return total / beside(corners_at(field.shape[1:]), field)


def squared_strain_gradient(field: Array, spacing: Array, weight: Array) -> Array:
    r"""Derivative with respect to the field, (d, \*m), of the sum of `weight` (\*m) times :func:`squared_strain`.

    At each corner the derivative of :math:`|G|^2` with respect to F is 2 F G.
    """
    share = weight / beside(corners_at(field.shape[1:]), field)
    found = np.zeros_like(field)
    for corner in corners(field, spacing):
        stress = np.einsum("dk...,ka...->da...", corner.gradient, strain(corner.gradient))
        stress *= 2 * share[corner.nodes]
        for axis, (low, high) in enumerate(corner.ends):
            along = stress[:, axis] / spacing[axis]
            found[high] += along
            found[low] -= along
    return found


def corners_at(shape: tuple[int, ...]) -> Array:
    """Number of corners of cells that meet at each node.

    >>> corners_at((2, 3)).tolist()
    [[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]
    """
    count = np.ones(shape)
    for axis, n in enumerate(shape):
        along = np.full(n, 2.0)
        along[[0, -1]] = 1.0
        count *= along.reshape([-1 if other == axis else 1 for other in range(len(shape))])
    return count


def logarithmic_stretches(field: Array, spacing: Array, weight: Array) -> tuple[Array, Array]:
    r"""Logarithms of the singular values of F, (d, N), at the corners at nodes of positive weight (\*m), and their weights, (N,)."""
    sizes, weights = [], []
    for corner in corners(field, spacing):
        inside = weight[corner.nodes] > 0
        matrices = np.moveaxis(corner.gradient[:, :, inside], -1, 0)
        values = np.linalg.svd(matrices, compute_uv=False).T
        sizes.append(np.log(np.maximum(values, np.finfo(float).tiny)))
        weights.append(weight[corner.nodes][inside])
    return np.concatenate(sizes, axis=1), np.concatenate(weights)
