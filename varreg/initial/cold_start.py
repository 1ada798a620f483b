"""Registration without a map to refine: the affine stage, the deformable stage, and the choice between their maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..backends.arrays import Array
from ..optimise.model_choice import ModelChoice
from ..stages.affine import affine_factors, affine_stage
from ..stages.levels import Recorder, affine_evaluation, check_view, timed
from ..stages.problem import Problem
from .last_stage import Registration, last_stage
from .simplest import can_judge, simplest
from .simplest_affine import headers_are_better, simplest_affine


def along_axes(
    problem: Problem, initialisations: tuple[str, ...] | Array, recorder: Recorder, seconds: dict[str, float]
) -> tuple[Registration, ModelChoice | None]:  # fmt: skip
    """Displacement restricted to some axes, starting from the headers or from a rigid map.

    Scales and shears would displace along all axes, and a rigid map fitted to distorted images is often biased by the
    distortion, also along axes that the displacement cannot correct.  Hence both are tried, and the final energy decides.
    """
    rigid, headers = Recorder(recorder.observer), Recorder(recorder.observer)
    with timed(seconds, "affine"):
        matrix = affine_stage(problem, "rigid", initialisations, False, rigid)
    with timed(seconds, "deformable"):
        found = last_stage(problem, matrix, None, rigid)
        placed = last_stage(problem, np.eye(len(matrix)), None, headers)
    if placed.evaluation.energy.total <= found.evaluation.energy.total:
        recorder.adopt(headers)
        return replace(placed, recorder=recorder), ModelChoice("headers", True)
    recorder.adopt(rigid)
    return replace(found, recorder=recorder), None


def cold_start(
    problem: Problem, model: str | None, matrix: Array, initialisations: tuple[str, ...] | Array,
    deformable: bool | None, recorder: Recorder, seconds: dict[str, float],
) -> tuple[Registration, ModelChoice | None]:  # fmt: skip
    """Registration, and the reason for its model; None if the model was given.

    Parameters
    ----------
    problem : Problem
    model : {"auto", "translation", "rigid", "similarity", "affine"} or None
        Model of the affine stage; None to use `matrix` unchanged.
    matrix : (d + 1, d + 1) array
    initialisations : tuple of str, or (d + 1, d + 1) array
        See :func:`varreg.stages.affine.affine_stage`.
    deformable : bool or None
        Whether to deform; None to decide by the energy gained.
    recorder : Recorder
    seconds : dict
        Receives the time of each stage.
    """
    if problem.options.axes is not None and model == "auto" and deformable is not False:
        return along_axes(problem, initialisations, recorder, seconds)
    opens = (model == "auto" or deformable is None) and can_judge(problem)
    chooses_affine, model = opens and model == "auto", "affine" if model == "auto" else model
    initial = initialisations if isinstance(initialisations, np.ndarray) else None
    choice = None
    with timed(seconds, "affine"):
        if model is not None:
            matrix = affine_stage(problem, model, initialisations, deformable is False, recorder)
            if chooses_affine and initial is None and headers_are_better(problem, matrix):
                matrix, model = np.eye(len(matrix)), "headers"
                recorder.reset()
                choice = ModelChoice("headers", deformable is not False)
            elif chooses_affine and deformable is False:
                done = len(affine_factors(problem, last=True))
                simple = simplest_affine(problem, matrix, done, False, recorder)
                matrix, choice = simple.matrix, simple.detailed_choice(ModelChoice(None, False))
    with timed(seconds, "deformable"):
        if deformable is False:
            evaluation = check_view(affine_evaluation(problem, matrix))
            return Registration(matrix, None, evaluation, recorder, problem), choice
        found = last_stage(problem, matrix, initial, recorder)
        if opens and deformable is None:
            found, choice = simplest(found, model, chooses_affine)
    return found, choice
