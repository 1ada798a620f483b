"""Treatment of folds: damping of fields that fold, and search directions masked at folded cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..backends.arrays import Array

if TYPE_CHECKING:
    from .deformable import DeformableObjective, State

#: Standard deviation, in nodes, of the mask around a cell folded by a trial step.
MASK_RADIUS = 3.0


def unfold(objective: DeformableObjective, z: Array) -> State:
    """State (z, u) without folds: high frequencies of z are damped as little as necessary.

    A field transferred to a finer grid may fold between the nodes of the coarser grid.
    """
    smoothness, least = objective.smoothness, objective.options.smallest_determinant
    symbol = smoothness.symbol / smoothness.symbol.max()
    damping = 0.0
    while True:
        state = z * np.exp(-damping * symbol)
        field = smoothness.to_field(state)
        if objective.bound(field) >= least:
            return state, field
        damping = 2 * damping if damping else 0.25
        if damping > 1e12:  # even the lowest frequencies fold: scale down the whole field
            z, damping = 0.5 * z, 0.0


def away_from(cell: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """Mask chi at the nodes of a displacement grid: 0 in the middle of a cell, 1 far from it.

    Parameters
    ----------
    cell : tuple of int
        Index of the first node of the cell.
    shape : tuple of int
        (*m), nodes of the grid.

    Returns
    -------
    (*m) array

    Examples
    --------
    >>> away_from((4,), (10,)).round(2).tolist()
    [0.68, 0.49, 0.29, 0.12, 0.01, 0.01, 0.12, 0.29, 0.49, 0.68]
    """
    distance = np.zeros(())
    for axis, position in enumerate(cell):
        along = [1] * len(shape)
        along[axis] = shape[axis]
        offset = np.arange(shape[axis]) - position - 0.5
        distance = distance + np.square(offset).reshape(along)
    return 1 - np.exp(-0.5 * distance / MASK_RADIUS**2)
