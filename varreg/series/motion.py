r"""Motion parameters: rotations and translations in the convention of FSL and fMRIPrep, and framewise displacement.

The six parameters of a volume describe the map that *corrects* it, from the volume to the reference, in FSL's
scaled-voxel coordinates (mm along the array axes, the first reversed if the determinant of the image's affine is
positive), like MCFLIRT's ``.par`` and the confounds of fMRIPrep:

.. math:: y = R_z^T R_y^T R_x^T (x - c) + c + t

with c the centre of mass of the mask, :math:`R_x, R_y, R_z` right-handed rotations about the axes by
``rot_x, rot_y, rot_z`` (radians), and t = ``trans_x, trans_y, trans_z`` (mm).  An affine map is represented by the
rotation of its polar decomposition.

Framewise displacement is defined by Power et al. (2012), doi 10.1016/j.neuroimage.2011.10.018: the sum of the
absolute changes of the six parameters from the previous volume, rotations as arcs on a sphere of 50 mm.  It is undefined
for the first volume.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from ..backends.arrays import Array
from ..exchange.fsl import scaled_voxels
from ..geometry.grid import Grid
from ..geometry.matrices import transform_points

COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
#: Radius of the sphere for the arcs of rotations, mm.
RADIUS = 50.0


class Head(NamedTuple):
    """Moments of the mask: its centre of mass in world (mm), and its second moments about it (mm^2)."""

    centre: Array  # (3,)
    spread: Array  # (3, 3)


def rotation_of(linear: Array) -> Array:
    """The rotations of linear maps, (..., 3, 3), by polar decomposition."""
    left, _, right = np.linalg.svd(linear)
    return np.asarray(left @ right)


def motion_parameters(affines: Array, grid: Grid, centre: Array) -> Array:
    """The six motion parameters of every volume.

    Parameters
    ----------
    affines : (n, 4, 4) array
        Reference world -> volume world (mm).
    grid : Grid
        Grid of the series.
    centre : (3,) array
        c, world (mm).

    Returns
    -------
    (n, 6) array
        trans_x, trans_y, trans_z in mm, rot_x, rot_y, rot_z in radians.

    Examples
    --------
    >>> shift = np.eye(4)
    >>> shift[1, 3] = 2.0  # the head has moved forwards; what corrects it goes backwards
    >>> motion_parameters(shift[None], Grid.with_spacing((8, 8, 8)), np.zeros(3)).tolist()[0][:3]
    [0.0, -2.0, 0.0]
    """
    to_scaled = scaled_voxels(grid) @ np.linalg.inv(grid.affine)
    corrections = to_scaled @ np.linalg.inv(affines) @ np.linalg.inv(to_scaled)
    point = transform_points(to_scaled, centre)
    shifts = corrections[:, :3, :3] @ point + corrections[:, :3, 3] - point
    turns = np.swapaxes(rotation_of(corrections[:, :3, :3]), 1, 2)
    return np.hstack([shifts, Rotation.from_matrix(turns).as_euler("XYZ")]) + 0.0


def framewise_displacement(parameters: Array) -> Array:
    """Framewise displacement from (n, 6) parameters, (n,) in mm; NaN for the first volume.

    Examples
    --------
    >>> framewise_displacement(np.array([[0.0] * 6, [0.1, 0, -0.2, 0, 0.001, 0]])).round(2).tolist()
    [nan, 0.35]
    """
    changes = np.abs(np.diff(parameters, axis=0, prepend=np.nan))
    return np.asarray(changes[:, :3].sum(1) + RADIUS * changes[:, 3:].sum(1))


def mean_motion(affines: Array, head: Head) -> Array:
    """Root mean square displacement of the head of each volume relative to the reference, (n,) in mm.

    Examples
    --------
    >>> shift = np.eye(4)
    >>> shift[0, 3] = 3.0
    >>> mean_motion(shift[None], Head(np.zeros(3), np.eye(3))).tolist()
    [3.0]
    """
    change = affines[:, :3] - np.eye(4)[:3]
    shift = change[:, :, :3] @ head.centre + change[:, :, 3]
    turned = np.einsum("nij,jk,nik->n", change[:, :, :3], head.spread, change[:, :, :3])
    return np.asarray(np.sqrt(np.square(shift).sum(1) + turned))
