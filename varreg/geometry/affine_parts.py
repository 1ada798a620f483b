"""Decomposition of an affine map into rotation, scales and shift."""

from __future__ import annotations

import math

import numpy as np

from .displacement import Float
from .grid import Grid


def affine_parts(affine: Float, grid: Grid) -> tuple[float, Float, float]:
    """Rotation angle, scales and shift of an affine map, by the polar decomposition L = R P.

    Parameters
    ----------
    affine : (d+1, d+1) array
        World -> world (mm).
    grid : Grid
        Grid of the image; the shift is measured at the centre of its field of view.

    Returns
    -------
    degrees : float
        Rotation angle of R; a reflection is included in the scales instead.
    scales : (d,) array
        Eigenvalues of P, the principal stretches, largest first; the last is negative for a map
        with a reflection.
    shift : float
        Displacement of the centre in mm.

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
    # Sine and cosine together: arccos alone does not resolve angles below 1e-6 degrees.
    if len(rotation) == 2:
        angle = abs(math.atan2(rotation[1, 0] - rotation[0, 1], np.trace(rotation)))
    else:
        axis = rotation[[2, 0, 1], [1, 2, 0]] - rotation[[1, 2, 0], [2, 0, 1]]
        angle = math.atan2(float(np.linalg.norm(axis)), float(np.trace(rotation)) - 1)
    centre = grid.centre
    moved = linear @ centre + affine[:-1, -1]
    return math.degrees(angle), scales, float(np.linalg.norm(moved - centre))
