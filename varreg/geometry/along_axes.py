"""Separable linear interpolation between grids with parallel axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .displacement import Float

#: Tolerance of off-axis entries of a matrix, in voxels of the source per voxel of the target.
PARALLEL = 1e-9


def parallel_axes(matrix: Float) -> tuple[int, ...] | None:
    """Target axis parallel to each source axis; None if the axes of the grids are not parallel.

    Parameters
    ----------
    matrix : (d + 1, d + 1) array
        Target voxel -> source voxel, see :func:`varreg.geometry.resampling.voxel_matrix`.

    Returns
    -------
    tuple of int or None

    Examples
    --------
    >>> parallel_axes(np.array([[0.0, -2.0, 9.0], [1.0, 0.0, 0.5], [0.0, 0.0, 1.0]]))
    (1, 0)
    >>> parallel_axes(np.array([[1.0, 0.1, 0.0], [-0.1, 1.0, 0.0], [0.0, 0.0, 1.0]]))
    """
    linear = np.abs(matrix[:-1, :-1])
    axes = linear.argmax(1)
    rest = linear.sum(1) - linear.max(1)
    if len(set(axes.tolist())) < len(axes) or (rest > PARALLEL).any():
        return None
    return tuple(axes.tolist())


def resize_along_axes(
    data: NDArray[np.floating], matrix: Float, axes: tuple[int, ...], shape: tuple[int, ...]
) -> NDArray[np.float32]:
    r"""Resample an array linearly on a grid with parallel axes, with constant extrapolation.

    Parameters
    ----------
    data : (\*S) array
        Values on the source grid.
    matrix : (d + 1, d + 1) array
        Target voxel -> source voxel.
    axes : tuple of int
        Result of :func:`parallel_axes`.
    shape : tuple of int
        (\*T), shape of the target grid.

    Returns
    -------
    (\*T) float32 array

    Examples
    --------
    >>> twice = np.array([[0.5, 0.0], [0.0, 1.0]])
    >>> resize_along_axes(np.array([0.0, 2.0]), twice, parallel_axes(twice), (5,)).tolist()
    [0.0, 1.0, 2.0, 2.0, 2.0]
    """
    values = np.asarray(data, np.float32)
    for axis, of_target in enumerate(axes):
        n = values.shape[axis]
        place = matrix[axis, of_target] * np.arange(shape[of_target]) + matrix[axis, -1]
        place = np.clip(place, 0, n - 1)
        low = np.minimum(np.floor(place).astype(np.intp), max(n - 2, 0))
        weight = (place - low).astype(np.float32).reshape(-1, *[1] * (values.ndim - axis - 1))
        below = values.take(low, axis)
        difference = values.take(np.minimum(low + 1, n - 1), axis)
        difference -= below
        difference *= weight
        values = np.add(below, difference, out=below)
    return np.ascontiguousarray(values.transpose(np.argsort(axes)))
