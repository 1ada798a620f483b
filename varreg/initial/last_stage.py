"""The deformable stage, starting from an affine map or from a map to refine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from ..backends.arrays import Array
from ..optimise.history import StartReport
from ..optimise.objective import Evaluation
from ..optimise.regularity_choice import RegularityChoice
from ..stages.levels import Recorder, affine_energy
from ..stages.problem import Problem
from ..stages.regularity import (
    RegularDeformation,
    refined_deformation,
    regular_deformation,
    with_regularity,
)
from .alternatives import alternative
from .input_transform import InputTransform
from .warm_start import warm_start


@dataclass(frozen=True)
class Registration:
    r"""A map, its evaluation at the finest level, and its history.

    Attributes
    ----------
    affine : (d + 1, d + 1) array
    nodes : (d, \*m) array or None
        u, mm; None without deformation.
    evaluation : Evaluation
    recorder : Recorder
    problem : Problem
        With the options of the energy minimised last.
    regularity : RegularityChoice or None
        Reason for the regularity; None if it was given, or without deformation.
    """

    affine: Array
    nodes: Array | None
    evaluation: Evaluation
    recorder: Recorder
    problem: Problem
    regularity: RegularityChoice | None = None


def last_stage(
    problem: Problem, matrix: Array, initial: Array | None, recorder: Recorder
) -> Registration:
    """The registration starting from an affine map.

    Parameters
    ----------
    problem : Problem
    matrix : (d + 1, d + 1) array
        Result of the affine stage, or given matrix.
    initial : (d + 1, d + 1) array or None
        Initialisation of the affine stage, if it was a matrix: used instead if the result of that stage has
        a higher energy at the finest level.
    recorder : Recorder
    """
    descent = Recorder(recorder.observer)
    found = regular_deformation(problem, matrix, descent)
    if initial is not None and not np.array_equal(matrix, initial):
        least = affine_energy(problem, initial, deformable=True)
        if least.total < found.deformation.evaluation.energy.total:
            recorder.reset()  # the history of the discarded map is not part of the result
            matrix, descent = initial, Recorder(recorder.observer)
            found = regular_deformation(problem, initial, descent)
    recorder.adopt(descent)
    return registered(matrix, found, recorder)


def registered(affine: Array, found: RegularDeformation, recorder: Recorder) -> Registration:
    """The registration with an affine map and a deformation."""
    ended = found.deformation
    return Registration(
        affine, ended.nodes, ended.evaluation, recorder, found.problem, found.choice
    )


def refinement(
    problem: Problem, model: str, initial: InputTransform, recorder: Recorder
) -> tuple[Registration, StartReport]:
    """The registration starting from an input transform, and the report on the start.

    Its energy never exceeds that of the start; see :mod:`varreg.initial.alternatives`.
    """
    if initial.minimised and initial.options is not None and problem.options.regularity == "auto":
        # results of the solver itself are not compared with the alternative
        problem = with_regularity(
            problem, initial.options.decided(problem.fixed.grid.dim).regularity
        )
    warm = warm_start(problem, initial)
    other = None if initial.minimised else alternative(problem, model, warm, recorder)
    if other is None:
        affine, report = warm.affine, warm.report
        found = refined_deformation(problem, affine, recorder, warm.nodes, warm.first)
    else:
        affine, report = other[0], dataclasses.replace(warm.report, instead=other[1])
        found = regular_deformation(problem, affine, recorder)
    return registered(affine, found, recorder), report
