"""The world of a 2D transform, and the step between RAS+ and LPS+.

varreg keeps two slices of volumes in the in-plane world of a frame (:mod:`varreg.images.slices`).  Other
tools have no such thing: their 2D world is the x-y plane.  An axial slice is brought there by the
frame; a slice in another plane has no place in it.
"""

from __future__ import annotations

import numpy as np

from ..errors import GeometryError
from ..geometry.displacement import Float

_TILT = 1e-4  # sine of the angle by which an axial slice may be tilted (headers keep float32)


def plane_matrix(frame: Float | None, dim: int) -> Float:
    """In-plane world -> world of the tools, which is the x-y plane in 2D.

    Parameters
    ----------
    frame : (4, 4) array or None
        Of :class:`varreg.Transform`.
    dim : int
        2 or 3; in 3D the result is the identity.

    Returns
    -------
    (d+1, d+1) array, a rigid map or a reflection.

    Raises
    ------
    GeometryError
        If the slices are not axial.

    Examples
    --------
    >>> plane_matrix(None, 2).diagonal().tolist()
    [1.0, 1.0, 1.0]
    """
    if frame is None or dim == 3:
        return np.eye(dim + 1)
    if np.abs(frame[:2, 2]).max() > _TILT:
        raise GeometryError(
            "varreg: the slices are not axial (their normal is "
            f"{np.round(frame[:3, 2], 4).tolist()} in RAS+), and the 2D world of ITK, ANTs and greedy "
            "is the x-y plane; exchange as --to numpy, or register arrays without geometry."
        )
    matrix = np.eye(3)
    matrix[:2, :2] = frame[:2, :2]
    # the foot of the normal is on the z axis, but for rounding
    return matrix


def lps(dim: int) -> Float:
    """The matrix that brings RAS+ points to LPS+ and back, (d+1, d+1).

    Examples
    --------
    >>> lps(3).diagonal().tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """
    return np.diag([-1.0, -1.0, *[1.0] * (dim - 1)])


def conjugated(matrix: Float, step: Float) -> Float:
    """A map between worlds, expressed in worlds that `step` leads to: step matrix step^-1.

    Examples
    --------
    >>> shift = np.array([[1.0, 0, 2], [0, 1, 0], [0, 0, 1]])
    >>> conjugated(shift, lps(2))[0].tolist()
    [1.0, 0.0, -2.0]
    """
    return np.asarray(step @ matrix @ np.linalg.inv(step))
