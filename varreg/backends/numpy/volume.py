"""Volume term in NumPy: see :mod:`varreg.energy.volume`."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from ..volume import SMALLEST


def cost(determinant: Array) -> Array:
    """(J^2 + J^-2 - 2) / 8, below `SMALLEST` its second-order Taylor polynomial."""
    held = np.maximum(determinant, SMALLEST)
    beyond = determinant - held
    curvature = (1 + 3 * held**-4) / 4
    return (held**2 + held**-2 - 2) / 8 + beyond * (_slope(held) + beyond * curvature / 2)


def cost_slope(determinant: Array) -> Array:
    """Derivative of :func:`cost`."""
    held = np.maximum(determinant, SMALLEST)
    return _slope(held) + (determinant - held) * (1 + 3 * held**-4) / 4


def _slope(determinant: Array) -> Array:
    return (determinant - determinant**-3) / 4


def volume(field: Array, spacing: Array) -> float:
    """Mean cost over all corners of all cells; field (d, *m)."""
    return float(np.mean([cost(np.linalg.det(edges)) for _, edges in _corners(field, spacing)]))


def volume_gradient(field: Array, spacing: Array) -> Array:
    """Derivative of :func:`volume` with respect to the field, (d, *m)."""
    out = np.zeros_like(field)
    corners = list(_corners(field, spacing))
    for corner, edges in corners:
        determinant = np.linalg.det(edges)
        slope = cost_slope(determinant) / (len(corners) * determinant.size)
        cofactors = _cofactors(edges) * slope[..., None, None]
        for axis in range(len(field)):
            part = np.moveaxis(cofactors[..., axis], -1, 0) / spacing[axis]
            for end, sign in ((0, -1), (1, 1)):
                out[_nodes(field, corner, axis, end)] += sign * part
    return out


def _corners(field: Array, spacing: Array) -> list[tuple[tuple[int, ...], NDArray[Any]]]:
    """Corners with id + grad u of every cell at the corner, (*cells, d, d): row component, column axis."""
    found = []
    for corner in itertools.product((0, 1), repeat=len(field)):
        columns = [
            (field[_nodes(field, corner, axis, 1)] - field[_nodes(field, corner, axis, 0)]) / spacing[axis]
            for axis in range(len(field))
        ]  # fmt: skip
        edges = np.moveaxis(np.stack(columns), (0, 1), (-1, -2)) + np.eye(len(field))
        found.append((corner, edges))
    return found


def _nodes(field: Array, corner: tuple[int, ...], axis: int, end: int) -> tuple[slice, ...]:
    """Nodes of all cells at one end of the edge along an axis that meets a corner."""
    ends = [end if other == axis else c for other, c in enumerate(corner)]
    sizes = field.shape[1:]
    return slice(None), *(slice(e, n - 1 + e) for e, n in zip(ends, sizes, strict=True))


def _cofactors(edges: Array) -> Array:
    """Derivative of the determinant with respect to each entry, (.., d, d)."""
    if edges.shape[-1] == 2:
        (a, b), (c, d) = (edges[..., 0, 0], edges[..., 0, 1]), (edges[..., 1, 0], edges[..., 1, 1])
        return np.stack([np.stack([d, -c], -1), np.stack([-b, a], -1)], -2)
    x, y, z = (edges[..., k] for k in range(3))
    return np.stack([np.cross(y, z), np.cross(z, x), np.cross(x, y)], -1)
