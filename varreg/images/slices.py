"""Slices extracted from a volume: their plane in 3D world space and their in-plane geometry.

A slice has two array axes in space.  Its *frame* is a (4, 4) rigid matrix that maps in-plane world
coordinates ``(a, b, offset along the normal, 1)`` in mm to RAS+ world; ``a`` runs along the
first array axis.  The frame's origin is the foot of the normal through the world origin, so
``(a, b)`` of two slices that share a frame direction can be compared.
"""

from __future__ import annotations

import numpy as np

from ..errors import GeometryError


def split_affine(affine: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split the affine of a one-slice volume into a plane and a geometry within it.

    Parameters
    ----------
    affine : (4, 4) array
        Voxel -> world (mm) of the volume.
    axis : int
        The array axis with one voxel, 0, 1 or 2.

    Returns
    -------
    plane_affine : (3, 3) array
        Voxel of the slice -> in-plane world (mm).
    frame : (4, 4) array
        In-plane world and offset along the normal -> world (mm).
    step : (3,) array
        World vector (mm) of one voxel along `axis`; the unit normal if the header has none.

    Raises
    ------
    GeometryError
        If the matrix is not (4, 4) or not finite, or if the slice's two axes are parallel.

    Examples
    --------
    >>> plane, frame, step = split_affine(np.diag([2.0, 3.0, 5.0, 1.0]), axis=2)
    >>> plane.diagonal().tolist(), step.tolist()
    ([2.0, 3.0, 1.0], [0.0, 0.0, 5.0])
    """
    if affine.shape != (4, 4) or not np.isfinite(affine).all():
        raise GeometryError(
            f"varreg.Image: `affine` of a slice must be a finite 4 x 4 matrix; got "
            f"{affine.tolist()}. Correct the header (sform, qform) or pass the array alone."
        )
    columns = np.delete(affine[:3, :3], axis, axis=1)
    rotation = _orthonormal(columns)
    origin = affine[:3, 3]
    plane = np.eye(3)
    plane[:2, :2] = rotation[:, :2].T @ columns
    plane[:2, 2] = rotation[:, :2].T @ origin
    frame = np.eye(4)
    frame[:3, :3] = rotation
    frame[:3, 3] = rotation[:, 2] * (rotation[:, 2] @ origin)
    step = affine[:3, axis]
    # 2D files often have a third pixdim of 0: the thickness of a single slice is not used.
    out_of_plane = abs(rotation[:, 2] @ step) > 1e-6 * np.linalg.norm(step)
    return plane, frame, np.array(step if out_of_plane else rotation[:, 2])


def join_affine(
    plane_affine: np.ndarray, frame: np.ndarray, step: np.ndarray, axis: int
) -> np.ndarray:
    """Affine of a slice in 3D; the inverse of `split_affine`.

    Parameters
    ----------
    plane_affine, frame, step
        As `split_affine` returns them.
    axis : int
        The array axis with one voxel.

    Returns
    -------
    (4, 4) array
        Voxel -> world (mm) of the one-slice volume.

    Examples
    --------
    >>> affine = np.diag([2.0, 3.0, 5.0, 1.0])
    >>> bool(np.allclose(join_affine(*split_affine(affine, axis=1), axis=1), affine))
    True
    """
    columns = frame[:3, :2] @ plane_affine[:2, :2]
    affine = np.eye(4)
    affine[:3, :3] = np.insert(columns, axis, step, axis=1)
    affine[:3, 3] = frame[:3, :2] @ plane_affine[:2, 2] + frame[:3, 3]
    return affine


def angle_between(frame: np.ndarray, other: np.ndarray) -> float:
    """Angle in degrees, 0 to 90, between the planes of two frames.

    Parameters
    ----------
    frame, other : (4, 4) array
        Frames of two slices; the sign of the normals is ignored.

    Returns
    -------
    float

    Examples
    --------
    >>> angle_between(np.eye(4), np.diag([1.0, -1.0, -1.0, 1.0]))
    0.0
    """
    cosine = abs(float(frame[:3, 2] @ other[:3, 2]))
    return float(np.degrees(np.arccos(min(cosine, 1.0))))


def project(
    plane_affine: np.ndarray, frame: np.ndarray, shape: tuple[int, ...], onto: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Express the geometry of a slice in the directions of another slice's frame.

    Parameters
    ----------
    plane_affine, frame : (3, 3) array, (4, 4) array
        Geometry of the slice, as `split_affine` returns it.
    shape : tuple of 2 ints
        Number of voxels of the slice.
    onto : (4, 4) array
        The frame whose directions are used.

    Returns
    -------
    plane_affine : (3, 3) array
        Voxel -> in-plane world (mm) of `onto`, by orthogonal projection.
    frame : (4, 4) array
        The rotation of `onto`, at the offset of this slice's centre.

    Examples
    --------
    >>> shifted = np.eye(4)
    >>> shifted[2, 3] = 7.0
    >>> plane, frame = project(np.eye(3), shifted, (4, 4), onto=np.eye(4))
    >>> float(frame[2, 3])
    7.0
    """
    rotation = onto[:3, :3]
    columns = rotation.T @ frame[:3, :2] @ plane_affine[:2, :2]
    origin = rotation.T @ (frame[:3, :2] @ plane_affine[:2, 2] + frame[:3, 3])
    plane = np.eye(3)
    plane[:2, :2], plane[:2, 2] = columns[:2], origin[:2]
    middle = origin + columns @ ((np.array(shape) - 1) / 2)
    projected = onto.copy()
    projected[:3, 3] = rotation[:, 2] * middle[2]
    return plane, projected


def _orthonormal(columns: np.ndarray) -> np.ndarray:
    """Right-handed rotation whose first axis is along the first column, with the second in their plane."""
    lengths = np.linalg.norm(columns, axis=0)
    unit = columns / np.where(lengths > 0, lengths, 1.0)
    normal = np.cross(unit[:, 0], unit[:, 1])
    size = float(np.linalg.norm(normal))
    if not size > 1e-6:
        raise GeometryError(
            f"varreg.Image: the two axes of the slice are parallel or have no length in world "
            f"space: {columns.tolist()}. Correct the header or pass the array alone."
        )
    normal = normal / size
    return np.stack([unit[:, 0], np.cross(normal, unit[:, 0]), normal], axis=1)
