"""Projection of an affine map onto an affine model."""

from __future__ import annotations

import numpy as np

from .displacement import Float
from .grid import Grid


def nearest_of_model(affine: Float, model: str, grid: Grid) -> Float:
    r"""Nearest map of a model to an affine map, in the mean square over a field of view.

    With L the linear part and M the second moments of the field of view about its centre, the rigid map
    has the rotation R that maximises :math:`\mathrm{tr}(R^T L M)` (Procrustes; Umeyama 1991, doi
    10.1109/34.88573), and maps the centre to the same point as the affine map.

    Parameters
    ----------
    affine : (d + 1, d + 1) array
        World -> world (mm).
    model : {"translation", "rigid", "similarity", "affine"}
    grid : Grid
        Grid that defines the field of view.

    Returns
    -------
    (d + 1, d + 1) array
        World -> world (mm).

    Examples
    --------
    >>> grid = Grid.with_spacing((8, 8))
    >>> turned = np.array([[0.0, -2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> nearest_of_model(turned, "rigid", grid)[:2, :2].round(6).tolist()
    [[0.0, -1.0], [1.0, 0.0]]
    """
    if model == "affine":
        return affine
    d, linear = grid.dim, affine[:-1, :-1]
    moments = grid.direction @ np.diag(grid.extent**2) @ grid.direction.T
    nearest: Float = np.eye(d)
    if model != "translation":
        left, _, right = np.linalg.svd(linear @ moments)
        signs = np.ones(d)
        signs[-1] = np.sign(np.linalg.det(left @ right))
        nearest = (left * signs) @ right
    if model == "similarity":
        nearest = nearest * (np.trace(nearest.T @ linear @ moments) / np.trace(moments))
    result: Float = np.eye(d + 1)
    result[:-1, :-1] = nearest
    centre = grid.centre
    result[:-1, -1] = linear @ centre + affine[:-1, -1] - nearest @ centre
    return result
