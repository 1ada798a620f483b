"""A displacement that folds, made one that does not: around its folds first, everywhere at last."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..backends.arrays import Array
from ..energy.deformable import DeformableObjective, unfold
from ..energy.smoothness import Smoothness, laplacian_symbol
from ..geometry.displacement import expand
from ..geometry.folded_cells import tight_cells
from ..geometry.projection import distance
from ..optimise.history import Repair

#: Rounds of smoothing around the folds before the whole field is damped.
ROUNDS = 16
#: Standard deviation of the first round's Gaussian, and of its window, in nodes.
FIRST_REACH = 0.7
#: Both grow by this factor from round to round: what resists needs more room.
GROWTH = 1.25


def repair(objective: DeformableObjective, field: Array) -> tuple[Array, Repair | None]:
    r"""The displacement, changed where its bound is below the smallest determinant of the options.

    In each round the field is replaced by a smoothed one around the tight cells, within a Gaussian
    window; elsewhere it stays as it was.

    Parameters
    ----------
    objective : DeformableObjective
        Of the level whose displacement grid the field is on.
    field : (d, \*m) array
        u at the nodes, mm.

    Returns
    -------
    field : (d, \*m) array
        With a bound that the descent may start from.
    report : Repair or None
        None if nothing had to be done.
    """
    least = objective.options.smallest_determinant
    before = after = objective.bound(field)
    if before >= least:
        return field, None
    mended, rounds, reach = field, 0, FIRST_REACH
    while after < least and rounds < ROUNDS:
        mended = _smoothed_around(objective, mended, least, reach)
        after, rounds, reach = objective.bound(mended), rounds + 1, GROWTH * reach
    everywhere = after < least
    if everywhere:  # having been smoothed in places makes such a field no better
        rounds = 0
        mended = unfold(objective, objective.smoothness.to_coordinates(field))[1]
        after = objective.bound(mended)
    fixed, constraint = objective.matching.fixed_grid, objective.options.constraint
    moved = distance(expand(mended - field, fixed.shape, constraint))
    return mended, Repair(before, after, moved.mean, moved.largest, rounds, everywhere)


def _smoothed_around(
    objective: DeformableObjective, field: Array, least: float, reach: float
) -> Array:
    """The field, smoothed near the cells whose bound is below `least`; `reach` in nodes."""
    matching, constraint = objective.matching, objective.options.constraint
    spacing = objective.node_spacing
    places, _, _ = tight_cells(
        field, spacing, constraint, least, matching.kernels, matching.threads
    )
    tight = np.zeros(field.shape[1:], bool)
    last: Array = np.array(tight.shape) - 1
    for shift in (-0.5, 0.5):  # the first and the last node of each cell
        tight[tuple(np.clip(np.floor(places + shift + 0.25), 0, last).astype(int).T)] = True
    apart = distance_transform_edt(~tight)
    window = np.exp(-0.5 * np.square(apart / reach))
    return field + window * (smoothed(field, objective.smoothness, spacing, reach) - field)


def smoothed(field: Array, smoothness: Smoothness, spacing: Array, reach: float) -> Array:
    """The field convolved with a Gaussian of `reach` nodes, by the extension of its constraint."""
    scaled = laplacian_symbol(field.shape[1:], np.ones_like(spacing), smoothness.constraint)
    return smoothness.backward(smoothness.forward(field) * np.exp(-0.5 * reach**2 * scaled))
