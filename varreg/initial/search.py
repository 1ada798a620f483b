"""What the arguments ``affine``, ``start`` and ``deformable`` ask for, and the registration that answers it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..images.image import Image
from ..optimise.history import StartReport
from ..optimise.model_choice import ModelChoice
from ..stages.affine import affine_factors
from ..stages.arguments import affine_model, check_overlap
from ..stages.levels import Recorder, identical_level, timed
from ..stages.problem import Problem
from .cold_start import cold_start
from .initialisation import chosen_start
from .input_transform import InputTransform
from .last_stage import Registration, refinement


@dataclass(frozen=True)
class Search:
    """A registration that is asked for.

    Attributes
    ----------
    model : {"auto", "translation", "rigid", "similarity", "affine"} or None
        Of the affine stage; None for `matrix` as it is.
    matrix : (d + 1, d + 1) array
    initialisations : tuple of str, or (d + 1, d + 1) array
        Of the affine stage: names, or one matrix.
    deformable : bool or None
        Whether a deformation is sought; None leaves it to what it gains.
    input : InputTransform or None
        A map that deforms, to be refined.
    """

    model: str | None
    matrix: Array
    initialisations: tuple[str, ...] | Array
    deformable: bool | None
    input: InputTransform | None = None

    def is_identity(self, moving: Image, fixed: Image) -> bool:
        """Whether the images are the same voxel by voxel, and nothing else is asked for: an estimate of mutual
        information has its maximum near the identity, not exactly there, so this is not left to the descent.
        """
        if self.input is not None or not np.array_equal(self.matrix, np.eye(len(self.matrix))):
            return False
        return fixed.grid.same_space(moving.grid) and np.array_equal(fixed.data, moving.data)

    def level_count(self, problem: Problem) -> int:
        """How many levels the stages have together."""
        affine = deformable = 0
        # a start that deforms is compared with what the affine stage finds, unless it is our own
        if self.model is not None and not (self.input is not None and self.input.minimised):
            affine = len(affine_factors(problem, self.deformable is False))
        if self.deformable is not False:
            deformable = len(problem.factors)
        return affine + deformable


def chosen_search(
    affine: Any, start: Any, deformable: bool | None, fixed: Image, moving: Image
) -> Search:
    """The search that the arguments of ``solve`` ask for.

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If one is unusable, they contradict each other, or the images would hardly overlap.
    """
    model, matrix = affine_model(affine, fixed.grid.dim)
    given, initialisations = chosen_start(start, affine, deformable, fixed, moving)
    if given is None:
        check_overlap(fixed.grid, moving.grid, matrix, model, initialisations)
    else:
        placed = given.transform.affine
        check_overlap(fixed.grid, moving.grid, placed, None, initialisations)
    return Search(model, matrix, initialisations, deformable, given)


def registration(
    problem: Problem, search: Search, identical: bool, recorder: Recorder, seconds: dict[str, float]
) -> tuple[Registration, StartReport | None, ModelChoice | None]:
    """The map, what became of the start, and how the model was chosen.

    Parameters
    ----------
    problem : Problem
    search : Search
    identical : bool
        Whether the identity is the answer.
    recorder : Recorder
    seconds : dict
        Time of the stages, to be filled in.
    """
    if search.input is not None:
        with timed(seconds, "deformable"):
            model = "affine" if search.model in ("auto", None) else str(search.model)
            return *refinement(problem, model, search.input, recorder), None
    if identical:
        recorder.levels.append(identical_level(problem))
        search = replace(search, model=None, deformable=False)
    found, choice = cold_start(
        problem, search.model, search.matrix, search.initialisations, search.deformable, recorder, seconds
    )  # fmt: skip
    return found, None, choice
