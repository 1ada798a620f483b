"""Cross-validation of a fine against a smooth map on held-out rows.

More degrees of freedom always increase the similarity of the voxels used for fitting.  Every other pair of rows is
therefore held out of a short fit: the fine map is justified if the similarity of the held-out rows increases, too.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..energy.deformable import DeformableObjective, State
from ..energy.smoothness import Smoothness
from ..energy.unfolding import unfold
from ..images.level_image import LevelImage
from ..optimise.minimise import minimise
from ..similarity.choice import deformable_choice, similarity
from ..similarity.similarity import Similarity
from ..similarity.volumes import as_volume_field
from ..similarity.weighted import weighted
from .deformable import Coordinates, level_smoothness
from .problem import Problem

#: Steps of the smooth and of the fine fit; the smooth fit must be close to convergence.
STEPS = {"smooth": 15, "fine": 8}
#: Number of blocks of rows along each axis for the estimate of the standard error.
BLOCKS = 2
#: Blocks with fewer voxels are ignored.
FEWEST_VOXELS = 1000


def unseen_gain(
    problem: Problem, fine: Problem, affine: Array, carried: Coordinates
) -> tuple[float, float]:
    """Relative gain of similarity by a fine over a smooth map on held-out rows at the coarsest level.

    Parameters
    ----------
    problem, fine : Problem
        The same images with the options of smooth and of fine maps.
    affine : (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    carried : (Smoothness, array)
        Coordinates of the common start.

    Returns
    -------
    gain, noise : float
        The relative gain and its standard error.
    """
    fixed = problem.level(problem.factors[0])[0]
    counts = np.full(fixed.grid.shape, True) if fixed.counted is None else fixed.counted
    seen = seen_rows(fixed.grid.shape)
    judges = [rows for rows in _blocks(counts & ~seen) if rows.sum() >= FEWEST_VOXELS]
    if len(judges) < 2 or not (counts & seen).any():
        return 0.0, 0.0
    fit = _similarity(problem, counts & seen)
    smooth = _fitted(fit, problem, affine, carried[0], carried)
    richer = _fitted(fit, fine, affine, level_smoothness(fine, 0), carried)
    values = []
    for rows in judges:
        judge = _similarity(problem, rows)
        values.append([_value(judge, *fitted) for fitted in (smooth, richer)])
    return _share(np.array(values), np.array([rows.sum() for rows in judges], float))


def seen_rows(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Rows used for fitting: every other pair of rows along the last axis, in a checkerboard pattern."""
    pairs = np.sum(np.indices(shape[:-1]) // 2, axis=0)
    return np.broadcast_to((pairs % 2 == 0)[..., None], shape)


def _similarity(problem: Problem, rows: NDArray[np.bool_]) -> Similarity:
    """Similarity of the options on some rows at the coarsest level, where the descent replaces local ones by "mi"."""
    place, parts = (problem.options, problem.kernels, problem.threads), []
    pairs = problem.levels(problem.factors[0])
    for name, (fixed, moving) in zip(problem.names, pairs, strict=True):
        inside = rows if fixed.counts is None else rows * fixed.counts
        image = LevelImage(fixed.data, inside, fixed.grid, fixed.weighted)
        parts.append(similarity(deformable_choice(name, False), image, moving, *place))
    return weighted(parts, problem.weights)


def _fitted(
    fit: Similarity, problem: Problem, affine: Array, smoothness: Smoothness, carried: Coordinates
) -> tuple[DeformableObjective, State]:
    terms = problem.options, False, problem.points, problem.rigid
    objective = DeformableObjective(fit, affine, smoothness, *terms)
    start = unfold(objective, carried[0].transfer(carried[1], smoothness))
    return objective, minimise(
        objective, start, problem.options, STEPS[problem.options.regularity]
    ).state


def _value(judge: Similarity, objective: DeformableObjective, state: State) -> float:
    return judge.evaluate(objective.where, as_volume_field(state[1])).value


def _blocks(rows: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """Partition of the rows by boxes that cover the field of view."""
    shape = rows.shape
    cuts = [np.arange(BLOCKS + 1) * n // BLOCKS for n in shape]
    found = []
    for place in itertools.product(range(BLOCKS), repeat=len(shape)):
        block = np.zeros(shape, bool)
        box = tuple(slice(c[p], c[p + 1]) for c, p in zip(cuts, place, strict=True))
        block[box] = rows[box]
        found.append(block)
    return found


def _share(values: Array, voxels: Array) -> tuple[float, float]:
    """Weighted mean of the differences and its standard error, relative to the mean of the first column."""
    weights: Array = voxels / voxels.sum()
    difference: Array = values[:, 1] - values[:, 0]
    mean, before = float(weights @ difference), float(weights @ values[:, 0])
    if not before > 0:
        return 0.0, 0.0
    count = len(weights)
    spread = float(np.square(weights * (difference - mean)).sum()) * count / (count - 1)
    return mean / before, float(np.sqrt(spread)) / before
