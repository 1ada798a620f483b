"""Model choice: the simplest model whose energy is nearly as low as that of the richest.

Images of one person from one session differ by a rigid map.  Scales, shears and deformations
still lower the energy, by chance, noise and edges at different positions in the two contrasts,
and then the map is less accurate than the rigid one.  The gain of richer models on pairs whose
true map is rigid was measured (``examples/benchmarks/model_choice.py``); richer models must gain
more than the thresholds below.
"""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..checks.moved_head import MovedHead
from ..geometry.affine_models import nearest_of_model
from ..geometry.matrices import transform_points
from ..optimise.model_choice import DEFORMABLE_GAIN, ModelChoice
from ..options.names import JUDGES
from ..stages.affine import affine_levels
from ..stages.levels import affine_energy, affine_evaluation, check_view
from ..stages.problem import Problem
from .last_stage import Registration
from .simplest_affine import finest, mean_spacing, share_gained, simplest_affine

#: A deformation is also accepted if it moves a point of the head by more than this (voxels): small structures gain little.
LARGEST = 3.0
#: A deformation that deviates less than this (root mean square, voxels) from every affine map must gain more.
LEAST_BENDING, GAIN_OF_LITTLE = 0.35, 0.07
#: A deformation that deviates more than this (voxels) from every affine map is accepted without comparison.
PLAIN = 1.0


def can_judge(problem: Problem) -> bool:
    """Whether thresholds for gains by chance are available for the similarity."""
    return set(problem.names) <= set(JUDGES)


def simplest(
    found: Registration, model: str | None, chooses_affine: bool
) -> tuple[Registration, ModelChoice]:
    """A deformable registration, or its affine part refined at the finest level, if the energy is nearly as low.

    Parameters
    ----------
    found : Registration
        A registration with deformation.
    model : {"translation", "rigid", "similarity", "affine", "headers"} or None
        Model of its affine part, which is not refined if it is None (given) or "headers".
    chooses_affine : bool
        Whether a rigid map may replace the affine one.
    """
    problem = found.problem
    head = MovedHead(problem, found.affine, found.nodes)
    points, there = head.points, head.there
    near = affine_fit(points, there)
    bending = float(np.sqrt(np.square(there - transform_points(near, points)).sum(0).mean()))
    voxel, energy = mean_spacing(problem), found.evaluation.energy.total
    if bending > PLAIN * voxel:
        return found, ModelChoice(model, True, bending)
    recorder = found.recorder.affine_alone()
    name, matrix, affine = model, found.affine, None
    if chooses_affine:
        affine = simplest_affine(problem, near, finest(problem), True, recorder)
        name, matrix = affine.model, affine.matrix
    elif model not in (None, "headers"):
        near = nearest_of_model(near, str(model), problem.fixed.grid)
        matrix = affine_levels(problem, str(model), near, finest(problem), recorder)
    alone = affine.energy if affine else affine_energy(problem, matrix, True).total
    gain = share_gained(alone, energy)
    apart = float(np.sqrt(np.square(there - transform_points(matrix, points)).sum(0).max()))
    needed = DEFORMABLE_GAIN if bending > LEAST_BENDING * voxel else GAIN_OF_LITTLE
    if gain > needed or apart > LARGEST * voxel:
        return found, ModelChoice(model, True, bending, None, gain, apart, deformable_limit=needed)
    evaluation = check_view(affine_evaluation(problem, matrix))
    chosen = Registration(matrix, None, evaluation, recorder, problem)
    choice = ModelChoice(name, False, bending, None, gain, apart, deformable_limit=needed)
    return chosen, choice if affine is None else affine.detailed_choice(choice)


def affine_fit(points: Array, there: Array) -> Array:
    """The affine map that best maps points to their targets, by least squares.

    Parameters
    ----------
    points, there : (d, n) array

    Returns
    -------
    (d + 1, d + 1) array

    Examples
    --------
    >>> (affine_fit(np.eye(2, 3), 2 * np.eye(2, 3) + 1).round(6) + 0).tolist()
    [[2.0, 0.0, 1.0], [0.0, 2.0, 1.0], [0.0, 0.0, 1.0]]
    """
    here, moved = points.mean(1, keepdims=True), there.mean(1, keepdims=True)
    linear = np.linalg.lstsq((points - here).T, (there - moved).T, rcond=None)[0].T
    matrix = np.eye(len(points) + 1)
    matrix[:-1, :-1] = linear
    matrix[:-1, -1:] = moved - linear @ here
    return matrix
