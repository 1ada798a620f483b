"""The choice of the model: the simplest that explains nearly as much of the images as the richest.

Images of one person that were taken together differ by a rigid map.  Scales, shear and a deformation
still find something to gain there, for chance, noise and edges that two contrasts put in different
places give them a little everywhere; and then the map is worse than the rigid one.  What richer models
gain where there is nothing to gain was measured on pairs whose truth is rigid
(``examples/benchmarks/model_choice.py``); it is stated below, and they must gain more.
"""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..checks.head import head_of
from ..geometry.affine_models import nearest_of_model
from ..geometry.displacement import expand
from ..optimise.model_choice import AFFINE_GAIN, DEFORMABLE_GAIN, ModelChoice
from ..stages.affine import affine_factors, affine_levels
from ..stages.levels import Recorder, affine_energy, affine_evaluation, check_view
from ..stages.problem import Problem
from .last_stage import Registration

#: Similarities by which models are compared: what others gain by chance was not measured.
JUDGES = ("regional-mi", "mi")
#: A deformation counts, too, that moves a point of the head by more than this (voxels): small parts gain little.
LARGEST = 3.0
#: Who gains more than this before all is refined needs no comparison.
PLAIN = 0.1


def can_judge(problem: Problem) -> bool:
    """Whether what models gain by chance is known for the similarity."""
    return problem.options.similarity in JUDGES


def simplest_affine(
    problem: Problem, matrix: Array, first: int, deformable: bool, recorder: Recorder
) -> tuple[Array, str, float]:
    """The affine map carried to the finest level, or a rigid one that is worth nearly as much.

    Parameters
    ----------
    problem : Problem
    matrix : (d + 1, d + 1) array
        An affine map.
    first : int
        The level of the affine stage to carry it on with.
    deformable : bool
        Whether the similarity of the deformable stage compares.
    recorder : Recorder
        Of the answer.

    Returns
    -------
    matrix : (d + 1, d + 1) array
    model : {"affine", "rigid", "headers"}
        The last if no rigid map is better than what they say.
    gain : float
        What the affine map gains, as a share of its energy.
    """
    affine, rigid = Recorder(recorder.observer), Recorder(recorder.observer)
    found = affine_levels(problem, "affine", matrix, first, affine)
    energy = affine_energy(problem, found, deformable).total
    near = nearest_of_model(found, "rigid", problem.fixed.grid)
    # two levels, for the nearest rigid map may be far off where scales are needed
    near = affine_levels(problem, "rigid", near, len(affine_factors(problem, last=True)) - 2, rigid)
    simple = affine_energy(problem, near, deformable).total
    gain = share_gained(simple, energy)
    if gain > AFFINE_GAIN:
        recorder.adopt(affine)
        return found, "affine", gain
    recorder.adopt(rigid)
    headers = np.eye(len(near))
    if affine_energy(problem, headers, deformable).total <= simple:
        return headers, "headers", gain
    return near, "rigid", gain


def headers_are_better(problem: Problem, matrix: Array) -> bool:
    """Whether the images share more where their headers place them, by the deformable stage's similarity.

    The affine stage compares what is in view, and may find something in images that show little.
    """
    headers = affine_energy(problem, np.eye(len(matrix)), deformable=True).total
    found = affine_energy(problem, matrix, deformable=True).total
    return share_gained(found, headers) > AFFINE_GAIN


def share_gained(simple: float, rich: float) -> float:
    """What the richer model gains, as a share of its energy; both are negative if anything is shared."""
    return (simple - rich) / abs(rich) if rich < 0 else 0.0


def simplest(
    problem: Problem, found: Registration, model: str | None, chooses_affine: bool
) -> tuple[Registration, ModelChoice]:
    """A deformable registration, or its affine part carried on, if that is worth nearly as much.

    Parameters
    ----------
    problem : Problem
    found : Registration
        That deforms.
    model : {"translation", "rigid", "similarity", "affine", "headers"} or None
        Of its affine part, which is not carried on if it is None (given) or "headers".
    chooses_affine : bool
        Whether a rigid map may take the place of the affine one.
    """
    still, energy = found.recorder.still, found.evaluation.energy.total
    least = affine_energy(problem, found.affine, True) if still is None else still
    gain = share_gained(least.total, energy)
    if gain > PLAIN:
        return found, ModelChoice(model, True, None, gain)
    recorder = found.recorder.affine_alone()
    name, matrix, affine_gain = model, found.affine, None
    if chooses_affine:
        matrix, name, affine_gain = simplest_affine(
            problem, matrix, len(recorder.levels), True, recorder
        )
    elif model not in (None, "headers"):
        matrix = affine_levels(problem, str(model), matrix, len(recorder.levels), recorder)
    gain = share_gained(affine_energy(problem, matrix, True).total, energy)
    apart = largest_distance(problem, found, matrix)
    if gain > DEFORMABLE_GAIN or apart > LARGEST * mean_spacing(problem):
        return found, ModelChoice(model, True, None, gain, apart)
    evaluation = check_view(affine_evaluation(problem, matrix))
    chosen = Registration(matrix, None, evaluation, recorder)
    return chosen, ModelChoice(name, False, affine_gain, gain, apart)


def mean_spacing(problem: Problem) -> float:
    """Geometric mean of the voxel sizes of the fixed image, mm."""
    return float(np.exp(np.log(problem.fixed.grid.spacing).mean()))


def largest_distance(problem: Problem, found: Registration, matrix: Array) -> float:
    """How far a registration and an affine map take a point of the head apart at most, mm."""
    assert found.nodes is not None
    image = problem.level(problem.factors[0])[0]
    shown, grid = head_of(image).shown, image.grid
    u = expand(found.nodes, grid.shape, problem.options.constraint)[:, shown]
    points = grid.voxel_to_world(np.argwhere(shown).T.astype(np.float64))
    there = found.affine[:-1, :-1] @ (points + grid.direction @ u) + found.affine[:-1, -1:]
    apart = there - (matrix[:-1, :-1] @ points + matrix[:-1, -1:])
    return float(np.sqrt(np.square(apart).sum(0).max()))
