"""Mapped positions of voxels, and interpolation of images, in the NumPy backend."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Moving, VoxelMap


def interpolation(where: VoxelMap, nodes: Array, shape: tuple[int, ...]) -> list[Array]:
    """Interpolation matrices (voxels, nodes) of the three axes, with two entries per row."""
    matrices, begin = [], 0
    for voxels, count in zip(shape, nodes.shape[1:], strict=True):
        matrix = np.zeros((voxels, count), nodes.dtype)
        for neighbour in range(2):
            index = where.index[neighbour, begin : begin + voxels]
            matrix[np.arange(voxels), index] += where.weight[neighbour, begin : begin + voxels]
        matrices.append(matrix)
        begin += voxels
    return matrices


def positions(where: VoxelMap, nodes: Array, shape: tuple[int, ...]) -> Array:
    """y = W (i, 1) + V u(i) for every fixed voxel i, (3, *shape), in moving voxels."""
    planes, rows, columns = interpolation(where, nodes, shape)
    moved = np.einsum("dabc,ia,jb,kc->dijk", nodes, planes, rows, columns, optimize=True)
    index = np.indices(shape).astype(nodes.dtype)
    placed = np.tensordot(where.linear[:, :3], index, 1) + where.linear[:, 3].reshape(3, 1, 1, 1)
    return placed + np.tensordot(where.displacement_matrix, moved, 1)


def nearest_inside(position: Array, shape: tuple[int, ...]) -> Array:
    """Nearest point between the outermost voxel centres; 0 for NaN."""
    last = np.array(shape, position.dtype).reshape(3, 1, 1, 1) - 1
    return np.minimum(np.fmax(position, 0), last)


def excess(position: Array, inside: Array) -> Array:
    """Signed distance of positions from the nearest points inside, along each axis; infinite for NaN."""
    return np.nan_to_num(position - inside, nan=np.inf, posinf=np.inf, neginf=-np.inf)


def fade(distance: Array) -> Array:
    """Weight along one axis at a distance (voxels) outside: from 1 to 0 over one voxel, C1."""
    left = np.maximum(1 - distance, 0)
    return left**2 * (3 - 2 * left)


def fade_slope(distance: Array) -> Array:
    """Derivative of :func:`fade`."""
    left = np.maximum(1 - distance, 0)
    return -6 * left * (1 - left)


def sample(image: Array, position: Array, cubic: bool) -> tuple[Array, Array]:
    """Value (*S) and gradient (3, *S) of the interpolant, as a sum over all neighbours."""
    taps = [_taps(position[d], image.shape[d], cubic) for d in range(3)]
    value = np.zeros(position.shape[1:], position.dtype)
    gradient = np.zeros_like(position)
    for corner in itertools.product(*(range(len(t[0])) for t in taps)):
        (i, wi, gi), (j, wj, gj), (k, wk, gk) = (
            (index[c], weight[c], slope[c])
            for (index, weight, slope), c in zip(taps, corner, strict=True)
        )
        neighbour = image[i, j, k]
        value += wi * wj * wk * neighbour
        gradient[0] += gi * wj * wk * neighbour
        gradient[1] += wi * gj * wk * neighbour
        gradient[2] += wi * wj * gk * neighbour
    return value, gradient


def average_axis(image: Array, axis: int, start: NDArray, weights: Array, threads: int) -> Array:
    """Weighted sums of neighbours along one axis: out[j] = sum_t weights[j, t] image[start[j] + t]."""
    neighbours = start[:, None] + np.arange(weights.shape[1])
    gathered = np.take(np.moveaxis(image, axis, -1), neighbours, axis=-1)
    return np.moveaxis((gathered * weights).sum(-1), -1, axis).astype(image.dtype)


def read_linear(image: Array, points: Array, fill: float, out: Array) -> None:
    """Linear interpolation: out[k] = image at points[:, k], or `fill` outside the field of view."""
    size = np.array(image.shape).reshape(3, 1)
    position = np.zeros((3, points.shape[1]), image.dtype)
    position[3 - len(points) :] = points
    inside = ((position >= -0.5) & (position <= size - 0.5)).all(axis=0)
    nearest = np.clip(np.where(inside, position, 0), 0, size - 1)
    out[...] = np.where(inside, sample(image, nearest, False)[0], fill)


def bend(value: Array, moving: Moving) -> tuple[Array, Array]:
    """Compression of values beyond the range, exponentially to at most one bin from it; and its derivative."""
    beyond = value - np.clip(value, moving.low, moving.high)
    slope = np.exp(-np.abs(beyond))
    return value - beyond + np.sign(beyond) * (1 - slope), slope


def quadratic(t: Array) -> Array:
    """Quadratic B-spline."""
    r = np.abs(t)
    return np.where(r < 0.5, 0.75 - r**2, 0.5 * np.maximum(1.5 - r, 0) ** 2)


def _taps(y: Array, n: int, cubic: bool) -> tuple[list[NDArray], list[Array], list[Array]]:
    """Neighbours of positions along one axis of n samples: indices, weights and their derivatives."""
    if n == 1:  # a plane: constant across
        return [np.zeros(y.shape, int)], [np.ones_like(y)], [np.zeros_like(y)]
    if not cubic:
        cell = np.minimum(np.floor(y), n - 2)
        index, t, one = cell.astype(int), y - cell, np.ones_like(y)
        return [index, index + 1], [1 - t, t], [-one, one]
    neighbours = [np.floor(y).astype(int) + k for k in (-1, 0, 1, 2)]
    mirrored = [n - 1 - np.abs(n - 1 - np.abs(i) % (2 * n - 2)) for i in neighbours]
    distance = [y - i.astype(y.dtype) for i in neighbours]
    return mirrored, [_cubic(t) for t in distance], [_cubic_slope(t) for t in distance]


def _cubic(t: Array) -> Array:
    """Cubic B-spline."""
    r = np.abs(t)
    return np.where(r < 1, 4 - 6 * r**2 + 3 * r**3, np.maximum(2 - r, 0) ** 3) / 6


def _cubic_slope(t: Array) -> Array:
    """Derivative of the cubic B-spline: the difference of two quadratic B-splines shifted by half a unit."""
    return quadratic(t + 0.5) - quadratic(t - 0.5)
