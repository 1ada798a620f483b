"""The deformable stage from an affine map, or from a map to refine."""

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
    r"""A map, its evaluation at the finest level, and how it was found.

    Attributes
    ----------
    affine : (d + 1, d + 1) array
    nodes : (d, \*m) array or None
        u, mm; None if nothing deforms.
    evaluation : Evaluation
    recorder : Recorder
    problem : Problem
        With the options whose energy was minimised last.
    regularity : RegularityChoice or None
        How the regularity was chosen; None if it was given, or if nothing deforms.
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
    found = regular_deformation(problem, matrix, descent)
    if initial is not None and not np.array_equal(matrix, initial):
        least = affine_energy(problem, initial, deformable=True)
        if least.total < found.deformation.evaluation.energy.total:
            recorder.reset()  # what led away from the better start is no part of the answer
            matrix, descent = initial, Recorder(recorder.observer)
            found = regular_deformation(problem, initial, descent)
    recorder.adopt(descent)
    return registered(matrix, found, recorder)


def registered(affine: Array, found: RegularDeformation, recorder: Recorder) -> Registration:
    """The registration of an affine map and a deformation."""
    ended = found.deformation
    return Registration(
        affine, ended.nodes, ended.evaluation, recorder, found.problem, found.choice
    )


def refinement(
    problem: Problem, model: str, initial: InputTransform, recorder: Recorder
) -> tuple[Registration, StartReport]:
    """The registration from an input transform, and the report on the start.

    Never of more energy than the start; see :mod:`varreg.initial.alternatives`.
    """
    if initial.minimised and initial.options is not None and problem.options.regularity == "auto":
        # our own results are not questioned
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
