"""A registration without a map to refine: the affine stage, the deformable one, and which of them it takes."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..optimise.model_choice import ModelChoice
from ..stages.affine import affine_factors, affine_stage
from ..stages.levels import Recorder, affine_evaluation, check_view, timed
from ..stages.problem import Problem
from .last_stage import Registration, last_stage
from .simplest import can_judge, simplest
from .simplest_affine import headers_are_better, simplest_affine


def cold_start(
    problem: Problem, model: str | None, matrix: Array, initialisations: tuple[str, ...] | Array,
    deformable: bool | None, recorder: Recorder, seconds: dict[str, float],
) -> tuple[Registration, ModelChoice | None]:  # fmt: skip
    """The map, and how its model was chosen; None if nobody left it open.

    Parameters
    ----------
    problem : Problem
    model : {"auto", "translation", "rigid", "similarity", "affine"} or None
        Of the affine stage; None for `matrix` as it is.
    matrix : (d + 1, d + 1) array
    initialisations : tuple of str, or (d + 1, d + 1) array
        See :func:`varreg.stages.affine.affine_stage`.
    deformable : bool or None
        Whether a deformation is sought; None leaves it to what it gains.
    recorder : Recorder
    seconds : dict
        Time of the stages, to be filled in.
    """
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
                matrix, choice = simple.matrix, simple.said(ModelChoice(None, False))
    with timed(seconds, "deformable"):
        if deformable is False:
            evaluation = check_view(affine_evaluation(problem, matrix))
            return Registration(matrix, None, evaluation, recorder, problem), choice
        found = last_stage(problem, matrix, initial, recorder)
        if opens and deformable is None:
            found, choice = simplest(found, model, chooses_affine)
    return found, choice
