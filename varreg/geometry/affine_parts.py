"""Rotation, scales and shift of an affine map."""

from __future__ import annotations

import math

import numpy as np

from .displacement import Float
from .grid import Grid


def affine_parts(affine: Float, grid: Grid) -> tuple[float, Float, float]:
    """Rotation, scale and shift of an affine map, by the polar decomposition L = R P.

    Parameters
    ----------
    affine : (d+1, d+1) array
        World -> world (mm).
    grid : Grid
        The shift is that of the centre of its field of view.

    Returns
    -------
    degrees : float
        Angle of R (a reflection, if any, is left to the scale).
    scales : (d,) array
        Eigenvalues of P, the stretches along its axes, largest first; the last is negative if
        the map reflects.
    shift : float
        In mm.

    Examples
    --------
    >>> quarter = np.array([[0.0, -2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> degrees, scales, _ = affine_parts(quarter, Grid.with_spacing((4, 4)))
    >>> round(degrees), scales.tolist()
    (90, [2.0, 2.0])
    """
    linear = affine[:-1, :-1]
    left, scales, right = np.linalg.svd(linear)
    if np.linalg.det(linear) < 0:
        scales[-1], left[:, -1] = -scales[-1], -left[:, -1]
    rotation = left @ right
    # Sine and cosine together, because arccos alone is blind to angles below 1e-6 degrees.
    if len(rotation) == 2:
        angle = abs(math.atan2(rotation[1, 0] - rotation[0, 1], np.trace(rotation)))
    else:
        axis = rotation[[2, 0, 1], [1, 2, 0]] - rotation[[1, 2, 0], [2, 0, 1]]
        angle = math.atan2(float(np.linalg.norm(axis)), float(np.trace(rotation)) - 1)
    centre = grid.centre
    moved = linear @ centre + affine[:-1, -1]
    return math.degrees(angle), scales, float(np.linalg.norm(moved - centre))
