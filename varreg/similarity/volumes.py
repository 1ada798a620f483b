"""Conversion of images, maps and fields to the volumes of the backends: a 2D image is a volume of one plane."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import PATCH, Array, Moving, VoxelMap
from ..geometry.displacement import AxisTable, axis_table
from ..geometry.grid import Grid


def voxel_map(
    tables: list[AxisTable], linear: Array, displacement_matrix: Array, dtype: np.dtype | type
) -> VoxelMap:
    """Pack the map i -> W (i, 1) + V u(i) for the kernels; 2D maps get a first axis without displacement.

    Parameters
    ----------
    tables : list of AxisTable
        Interpolation weights of each of the d axes.
    linear : (d, d + 1) array
        W, fixed voxel -> moving voxel.
    displacement_matrix : (d, d) array
        V.
    dtype : dtype
        Precision of the map.

    Returns
    -------
    VoxelMap
    """
    dimension = len(tables)
    full_linear, full_matrix = np.zeros((3, 4)), np.zeros((3, 3))
    first = 3 - dimension
    full_linear[first:, first:] = linear
    full_matrix[first:, first:] = displacement_matrix
    if dimension == 2:
        tables = [axis_table([0], 1, 1, "zero-mean"), *tables]
    index = np.concatenate([np.stack([t.index0, t.index1]) for t in tables], axis=1)
    weight = np.concatenate([np.stack([t.weight0, t.weight1]) for t in tables], axis=1)
    longest = max(len(t.index0) for t in tables)
    return VoxelMap(
        np.ascontiguousarray(index, dtype=np.uint32),
        np.ascontiguousarray(weight, dtype=dtype),
        full_linear.astype(dtype),
        full_matrix.astype(dtype),
        np.arange(longest, dtype=dtype),
    )


def index_affine(fixed: Grid, moving: Grid, affine: Array) -> Array:
    """Matrix fixed voxel -> moving voxel, (d, d + 1), of an affine map in world space."""
    return (np.linalg.inv(moving.affine) @ affine @ fixed.affine)[:-1]


def as_volume(image: NDArray[Any]) -> NDArray[Any]:
    """(n, m) -> (1, n, m); volumes unchanged."""
    return image if image.ndim == 3 else image[None]


def as_volume_field(nodes: Array) -> Array:
    """(2, b, c) -> (3, 1, b, c) with a zero first component; (3, a, b, c) unchanged."""
    if nodes.shape[0] == 3:
        return nodes
    field = np.zeros_like(nodes, shape=(3, 1, *nodes.shape[1:]))
    field[1:, 0] = nodes
    return field


def from_volume_field(field: Array, dimension: int) -> Array:
    """Inverse of :func:`as_volume_field`."""
    return field if dimension == 3 else field[1:, 0]


def moving_image(
    values: NDArray[Any], mask: NDArray[Any] | None, span: tuple[float, float], cubic: bool
) -> Moving:
    """Pack the moving image for the kernels, in the precision of its values.

    Parameters
    ----------
    values : (*S) array
        Values of the image.
    mask : (*S) array or None
        Weights in [0, 1].
    span : (float, float)
        Range of the values; the lowest is the background.
    cubic : bool
        Whether the image is interpolated by cubic B-splines.

    Returns
    -------
    Moving
    """
    data, dtype = as_volume(values), values.dtype
    if cubic:
        from scipy.ndimage import spline_filter1d

        for axis in range(3):
            if data.shape[axis] > 1:
                data = spline_filter1d(data, order=3, axis=axis, mode="mirror", output=dtype)
    empty = np.zeros((0, 0, 0), dtype)
    weight = empty if mask is None else as_volume(np.asarray(mask, dtype=dtype))
    limit = np.maximum(np.array(data.shape) - 2, 0).astype(dtype)
    data = np.ascontiguousarray(data)
    content = _content(data > span[0]).astype(dtype)
    return Moving(data, np.ascontiguousarray(weight), limit, content, cubic, *span)


def _content(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and last voxel inside along the last axis, per patch of rows; (n, -1) for empty patches."""
    planes, rows, n = inside.shape
    first = np.where(inside.any(axis=2), inside.argmax(axis=2), n)
    last = np.where(inside.any(axis=2), n - 1 - inside[:, :, ::-1].argmax(axis=2), -1)
    cuts = [np.arange(0, size, PATCH) for size in (planes, rows)]
    for axis, cut in enumerate(cuts):
        first = np.minimum.reduceat(first, cut, axis=axis)
        last = np.maximum.reduceat(last, cut, axis=axis)
    return np.stack([first, last], axis=-1)
