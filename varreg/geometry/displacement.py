"""Displacement grids: (bi/tri)linear interpolation between nodes that cover the fixed image.

Nodes are cell-centred: an axis of n voxels covered by m nodes has node j at voxel coordinate
(j + 1/2) n / m - 1/2, so node and voxel grids cover the same field of view [-1/2, n - 1/2] and
coincide when m = n.  Between the outermost node and the border the field is constant (zero mean:
the even extension of the cosine basis) or decreases linearly to zero (zero boundary: the odd
extension of the sine basis).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..backends.namespace import beside

#: Constraints of the displacement, which determine the extension beyond the outermost nodes.
CONSTRAINTS = ("zero-mean", "zero-boundary")
Float = NDArray[np.floating]


class AxisTable(NamedTuple):
    """Linear interpolation at n positions: value = weight0 * node[index0] + weight1 * node[index1]."""

    index0: NDArray[np.int32]  # (n,)
    index1: NDArray[np.int32]  # (n,)
    weight0: Float  # (n,)
    weight1: Float  # (n,)


def axis_table(positions: ArrayLike, voxels: int, nodes: int, constraint: str) -> AxisTable:
    """Nodes and weights of linear interpolation at positions along one axis.

    Parameters
    ----------
    positions : (n,) array
        Voxel coordinates along the axis, on the host or a device.
    voxels, nodes : int
        Number of voxels and of nodes that cover the axis.
    constraint : {"zero-mean", "zero-boundary"}
        Extension beyond the outermost nodes.

    Returns
    -------
    AxisTable
        Arrays on the device of `positions`, weights in float32.
    """
    where: Any = positions if hasattr(positions, "astype") else np.asarray(positions)
    p = (where.astype(np.float64, copy=False) + 0.5) * nodes / voxels - 0.5
    low, high = p < 0, p > nodes - 1
    inside = np.clip(p, 0, nodes - 1)
    index0 = np.clip(np.floor(inside).astype(np.int32), 0, max(nodes - 2, 0)).astype(np.int32)
    index1 = np.minimum(index0 + 1, nodes - 1).astype(np.int32)
    weight1 = inside - index0
    weight0 = 1.0 - weight1
    if constraint == "zero-boundary":
        weight0 = np.where(low, np.clip(1 + 2 * p, 0, 1), weight0)
        fall = np.clip(1 - 2 * (p - (nodes - 1)), 0, 1)
        weight1 = np.where(high, fall, weight1)
        if nodes == 1:
            weight0 = np.where(high, fall, weight0)
    if nodes == 1:
        weight1 = np.zeros_like(weight1)
    return AxisTable(index0, index1, weight0.astype(np.float32), weight1.astype(np.float32))


def expand(nodes: Float, shape: tuple[int, ...], constraint: str) -> Float:
    """Interpolate a field from the nodes to every voxel of the fixed image.

    Parameters
    ----------
    nodes : (d, *m) array
        Values at the nodes (mm, or any unit: interpolation is linear).
    shape : tuple of int
        (*S), voxels that cover the same field of view.
    constraint : {"zero-mean", "zero-boundary"}
        Constraint of the field, which determines its values near the border.

    Returns
    -------
    (d, *S) array of the dtype of `nodes`, on the same device.
    """
    field: Any = nodes
    for axis, voxels in enumerate(shape, start=1):
        count = field.shape[axis]
        if count == voxels:
            continue
        table = axis_table(np.arange(voxels), voxels, count, constraint)
        along = [1] * field.ndim
        along[axis] = voxels
        index0, index1, weight0, weight1 = (beside(part, field) for part in table)
        lower = np.take(field, index0, axis=axis)
        lower *= weight0.reshape(along).astype(field.dtype)
        upper = np.take(field, index1, axis=axis)
        upper *= weight1.reshape(along).astype(field.dtype)
        field = np.add(lower, upper, out=lower)
    return field


def evaluate(nodes: Float, shape: tuple[int, ...], points: Float, constraint: str) -> Float:
    """Interpolate a field at arbitrary points.

    Parameters
    ----------
    nodes : (d, *m) array
        Values at the nodes; transferred to the device of the points if necessary.
    shape : tuple of int
        (*S), voxels of the fixed image.
    points : (d, ...) array
        Voxel coordinates of the fixed image; the border value is continued beyond its field of view.
    constraint : {"zero-mean", "zero-boundary"}

    Returns
    -------
    (d, ...) float64 array, on the device of the points.
    """
    flat = points.astype(np.float64, copy=False).reshape(len(shape), -1)
    values = beside(nodes, flat)
    tables = [
        axis_table(flat[axis], shape[axis], nodes.shape[axis + 1], constraint)
        for axis in range(len(shape))
    ]
    total = np.zeros_like(flat, shape=(nodes.shape[0], flat.shape[1]))
    for corner in np.ndindex(*(2,) * len(shape)):
        index = tuple(table[bit] for table, bit in zip(tables, corner, strict=True))
        weight = np.ones_like(flat[0])
        for table, bit in zip(tables, corner, strict=True):
            weight *= table[2 + bit]
        total += weight * values[(slice(None), *index)]
    return total.reshape(nodes.shape[0], *points.shape[1:])
