"""The deformable stage from an affine map, or from a map to refine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..backends.arrays import Array
from ..optimise.history import StartReport
from ..optimise.objective import Evaluation
from ..stages.deformable import deformable_stage
from ..stages.levels import Recorder, affine_energy
from ..stages.problem import Problem
from .alternatives import alternative
from .input_transform import InputTransform
from .warm_start import warm_start


@dataclass(frozen=True)
class Registration:
    r"""A map, its evaluation at the finest level, and how it was found.

    Attributes
    ----------
    affine : (d + 1, d + 1) array
    nodes : (d, \*m) array or None
        u, mm; None if nothing deforms.
    evaluation : Evaluation
    recorder : Recorder
    """

    affine: Array
    nodes: Array | None
    evaluation: Evaluation
    recorder: Recorder


def last_stage(
    problem: Problem, matrix: Array, initial: Array | None, recorder: Recorder
) -> Registration:
    """The registration from an affine map.

    Parameters
    ----------
    problem : Problem
    matrix : (d + 1, d + 1) array
        What the affine stage found, or was given.
    initial : (d + 1, d + 1) array or None
        What the affine stage began with, if it was given: it is taken up again where that stage has
        led to a higher energy of this one.
    recorder : Recorder
    """
    descent = Recorder(recorder.observer)
    nodes, evaluation = deformable_stage(problem, matrix, descent)
    if initial is not None and not np.array_equal(matrix, initial):
        least = affine_energy(problem, initial, deformable=True)
        if least.total < evaluation.energy.total:
            recorder.reset()  # what led away from the better start is no part of the answer
            matrix, descent = initial, Recorder(recorder.observer)
            nodes, evaluation = deformable_stage(problem, initial, descent)
    recorder.adopt(descent)
    return Registration(matrix, nodes, evaluation, recorder)


def refinement(
    problem: Problem, model: str, initial: InputTransform, recorder: Recorder
) -> tuple[Registration, StartReport]:
    """The registration from an input transform, and the report on the start.

    Never of more energy than the start; see :mod:`varreg.initial.alternatives`.
    """
    warm = warm_start(problem, initial)
    other = None if initial.minimised else alternative(problem, model, warm, recorder)
    if other is None:
        affine, report = warm.affine, warm.report
        nodes, evaluation = deformable_stage(problem, affine, recorder, warm.nodes, warm.first)
    else:
        affine, report = other[0], dataclasses.replace(warm.report, instead=other[1])
        nodes, evaluation = deformable_stage(problem, affine, recorder)
    return Registration(affine, nodes, evaluation, recorder), report
