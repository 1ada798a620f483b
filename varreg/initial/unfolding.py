"""Unfolding of a displacement: smoothing around its folds first, damping of the whole field at last."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..backends.arrays import Array
from ..energy.deformable import DeformableObjective, unfold
from ..energy.smoothness import Smoothness, laplacian_symbol
from ..geometry.displacement import expand
from ..geometry.folded_cells import nearly_folded_cells
from ..geometry.projection import mean_and_largest
from ..optimise.history import Unfolding

#: Rounds of smoothing around the folds before the whole field is damped.
ROUNDS = 16
#: Standard deviation of the first round's Gaussian, and of its window, in nodes.
FIRST_WIDTH = 0.7
#: Both grow by this factor from round to round: what resists needs more room.
GROWTH = 1.25


def unfolded(objective: DeformableObjective, field: Array) -> tuple[Array, Unfolding | None]:
    r"""The displacement with a bound of det(id + grad u) that the options allow.

    In each round the field is replaced by a smoothed one around the nearly folded cells, within a Gaussian
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
    unfolding : Unfolding or None
        None if nothing had to be done.
    """
    least = objective.options.smallest_determinant
    bound = after = objective.bound(field)
    if bound >= least:
        return field, None
    result, rounds, width = field, 0, FIRST_WIDTH
    while after < least and rounds < ROUNDS:
        result = _smoothed_around(objective, result, least, width)
        after, rounds, width = objective.bound(result), rounds + 1, GROWTH * width
    everywhere = after < least
    if everywhere:  # having been smoothed in places makes such a field no better
        rounds = 0
        result = unfold(objective, objective.smoothness.to_coordinates(field))[1]
        after = objective.bound(result)
    fixed, constraint = objective.similarity.fixed_grid, objective.options.constraint
    mean, largest = mean_and_largest(expand(result - field, fixed.shape, constraint))
    return result, Unfolding(bound, after, mean, largest, rounds, everywhere)


def _smoothed_around(
    objective: DeformableObjective, field: Array, least: float, width: float
) -> Array:
    """The field, smoothed near the cells whose bound is below `least`; `width` in nodes."""
    similarity, constraint = objective.similarity, objective.options.constraint
    spacing = objective.node_spacing
    places, _, _ = nearly_folded_cells(
        field, spacing, constraint, least, similarity.kernels, similarity.threads
    )
    nearly_folded = np.zeros(field.shape[1:], bool)
    last: Array = np.array(nearly_folded.shape) - 1
    for shift in (-0.5, 0.5):  # the first and the last node of each cell
        nearly_folded[tuple(np.clip(np.floor(places + shift + 0.25), 0, last).astype(int).T)] = True
    apart = distance_transform_edt(~nearly_folded)
    window = np.exp(-0.5 * np.square(apart / width))
    return field + window * (smoothed(field, objective.smoothness, spacing, width) - field)


def smoothed(field: Array, smoothness: Smoothness, spacing: Array, width: float) -> Array:
    """The field convolved with a Gaussian of `width` nodes, by the extension of its constraint."""
    scaled = laplacian_symbol(field.shape[1:], np.ones_like(spacing), smoothness.constraint)
    return smoothness.backward(smoothness.forward(field) * np.exp(-0.5 * width**2 * scaled))
