"""The world of a 2D transform, and conversion between RAS+ and LPS+.

Slices of volumes are represented in the in-plane world of a frame (:mod:`varreg.images.slices`).  Other
tools have no frame: their 2D world is the x-y plane.  An axial slice is converted by the
frame; a slice in another plane cannot be represented.
"""

from __future__ import annotations

import numpy as np

from ..errors import GeometryError
from ..geometry.displacement import Float

_TILT = 1e-4  # sine of the largest tilt of an axial slice (headers keep float32)


def plane_matrix(frame: Float | None, dim: int) -> Float:
    """In-plane world -> world of other tools, which is the x-y plane in 2D.

    Parameters
    ----------
    frame : (4, 4) array or None
        See :class:`varreg.Transform`.
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
    # the foot of the normal is on the z axis, up to rounding
    return matrix


def lps(dim: int) -> Float:
    """The matrix that converts RAS+ points to LPS+ and back, (d+1, d+1).

    Examples
    --------
    >>> lps(3).diagonal().tolist()
    [-1.0, -1.0, 1.0, 1.0]
    """
    return np.diag([-1.0, -1.0, *[1.0] * (dim - 1)])


def conjugated(matrix: Float, step: Float) -> Float:
    """A map between worlds, expressed in the worlds after `step`: step matrix step^-1.

    Examples
    --------
    >>> shift = np.array([[1.0, 0, 2], [0, 1, 0], [0, 0, 1]])
    >>> conjugated(shift, lps(2))[0].tolist()
    [1.0, 0.0, -2.0]
    """
    return np.asarray(step @ matrix @ np.linalg.inv(step))
