"""Homogeneous matrices: validation, and application to points (components first)."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from ..errors import GeometryError, InputError

#: Longest and shortest admissible length (mm): beyond, a header or a field is damaged, and positions are lost
#: to rounding.
LONGEST, SHORTEST = 1e10, 1e-10
_FLATTEST = 1e-6  # smallest singular value of unit-length axes that are not coplanar


def transform_points(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Apply a homogeneous matrix to points.

    Parameters
    ----------
    affine : (d+1, d+1) array
        The last row is assumed to be ``0 .. 0 1``.
    points : (d, ...) array
        Components first, in the source space of the matrix.

    Returns
    -------
    (d, ...) float64 array
        The points in the target space of the matrix.

    Raises
    ------
    InputError
        If the first axis of `points` does not have length ``d``.

    Examples
    --------
    >>> transform_points(np.array([[2.0, 0, 1], [0, 1, 0], [0, 0, 1]]), np.ones((2, 3)))[0].tolist()
    [3.0, 3.0, 3.0]
    """
    points = np.asarray(points, dtype=np.float64)
    dim = len(affine) - 1
    if points.ndim == 0 or points.shape[0] != dim:
        raise InputError(
            f"varreg.Grid: `points` must have shape ({dim}, ...), components first; "
            f"got {points.shape}. Rows of points are turned by numpy.moveaxis(points, -1, 0)."
        )
    offset = affine[:-1, -1].reshape((dim,) + (1,) * (points.ndim - 1))
    return np.asarray(np.tensordot(affine[:-1, :-1], points, axes=1) + offset)


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Validate a shape and return it as 2 or 3 positive ints.

    Parameters
    ----------
    shape : sequence of int
        Number of voxels along each axis.

    Returns
    -------
    tuple of int

    Raises
    ------
    GeometryError
        If `shape` is not a sequence of 2 or 3 positive integers.

    Examples
    --------
    >>> checked_shape([4, 5])
    (4, 5)
    """
    try:
        counts = tuple(operator.index(count) for count in shape)
    except TypeError as error:
        raise GeometryError(
            f"varreg.Grid: `shape` must be a sequence of 2 or 3 integers; got {shape!r}."
        ) from error
    if len(counts) not in (2, 3) or min(counts) < 1:
        raise GeometryError(f"varreg.Grid: `shape` must be 2 or 3 positive integers; got {counts}.")
    return counts


def checked_affine(affine: Any, dim: int) -> np.ndarray:
    """Validate an invertible homogeneous matrix and return a read-only float64 copy.

    Parameters
    ----------
    affine : (d+1, d+1) array
        Voxel -> world (mm).
    dim : int
        Required dimension ``d``.

    Returns
    -------
    (d+1, d+1) float64 array
        Not writeable.

    Raises
    ------
    GeometryError
        If the matrix has the wrong shape, has entries that are not finite or impossibly large, does not have
        the last row ``0 .. 0 1``, or is singular.

    Examples
    --------
    >>> checked_affine(np.eye(3), 2).flags.writeable
    False
    """
    try:
        matrix = np.array(affine, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise GeometryError("varreg.Grid: `affine` is not an array of real numbers.") from error
    if matrix.shape != (dim + 1, dim + 1):
        raise GeometryError(
            f"varreg.Grid: `affine` of a {dim}D grid must be {dim + 1} x {dim + 1}; "
            f"got shape {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        raise GeometryError(
            f"varreg.Grid: `affine` holds NaN or infinity: {matrix.tolist()}; "
            "correct the header (sform, qform) or give an affine."
        )
    if np.abs(matrix).max() > LONGEST:
        raise GeometryError(
            f"varreg.Grid: `affine` has an entry of {_largest(matrix):g}, above the limit of {LONGEST:g} mm: "
            f"{matrix.tolist()}; correct the header (sform, qform) or give an affine."
        )
    if np.abs(matrix[-1] - np.eye(dim + 1)[-1]).max() > 1e-6:
        raise GeometryError(
            f"varreg.Grid: the last row of `affine` must be 0 .. 0 1; got {matrix[-1].tolist()}."
        )
    _refuse_singular(matrix[:-1, :-1])
    matrix[-1] = np.eye(dim + 1)[-1]
    matrix.flags.writeable = False
    return matrix


def checked_spacing(spacing: Any, dim: int) -> np.ndarray:
    """Validate voxel sizes and return them as a float64 array.

    Parameters
    ----------
    spacing : float or sequence of d floats
        Voxel size in mm.
    dim : int
        Required dimension ``d``.

    Returns
    -------
    (d,) float64 array

    Raises
    ------
    GeometryError
        If a size is not positive or not plausible, or the number of sizes is not ``d``.

    Examples
    --------
    >>> checked_spacing(2, 3).tolist()
    [2.0, 2.0, 2.0]
    """
    try:
        sizes = np.broadcast_to(np.asarray(spacing, dtype=np.float64), (dim,))
    except (TypeError, ValueError, OverflowError):
        sizes = np.zeros(1)
    if not ((sizes >= SHORTEST) & (sizes <= LONGEST)).all():
        raise GeometryError(
            f"varreg.Grid: `spacing` must be one positive number or {dim} positive numbers in mm, "
            f"{SHORTEST:g} to {LONGEST:g}; got {spacing!r}."
        )
    return sizes


def _largest(matrix: np.ndarray) -> float:
    """Entry of largest absolute value."""
    return float(matrix.flat[np.abs(matrix).argmax()])


def _refuse_singular(linear: np.ndarray) -> None:
    """Raise if the axes are coplanar; they are normalised, as small or anisotropic voxels are valid."""
    spacing = np.linalg.norm(linear, axis=0)
    if not (spacing >= SHORTEST).all():
        raise GeometryError(
            f"varreg.Grid: `affine` has voxels of size {spacing.tolist()} mm; every size must be at least "
            f"{SHORTEST:g} mm. Correct the header or give an affine."
        )
    if np.linalg.svd(linear / spacing, compute_uv=False)[-1] < _FLATTEST:
        raise GeometryError(
            f"varreg.Grid: `affine` is singular, its axes lie in one plane: {linear.tolist()}; "
            "correct the header (sform, qform) or give an affine."
        )
