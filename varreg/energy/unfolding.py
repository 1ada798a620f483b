"""Away from folds: a field that folds is damped, and a step that would fold a cell goes on elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..backends.arrays import Array

if TYPE_CHECKING:
    from .deformable import DeformableObjective, State

#: Standard deviation, in nodes, of the mask around a cell that a step would fold.
MASK_RADIUS = 3.0


def unfold(objective: DeformableObjective, z: Array) -> State:
    """The state (z, u) of coordinates z, with just enough of its high frequencies damped that no
    cell folds: a field carried to a finer grid may fold between its old nodes.
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
        if damping > 1e12:  # even the smoothest modes fold: shrink the whole field
            z, damping = 0.5 * z, 0.0


def away_from(cell: tuple[int, ...], shape: tuple[int, ...]) -> Array:
    """chi at the nodes of a displacement grid: 0 in the middle of a cell, 1 far from it.

    Parameters
    ----------
    cell : tuple of int
        Its first node.
    shape : tuple of int
        (*m), of the grid.

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
