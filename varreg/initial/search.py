"""The search defined by the arguments ``affine``, ``start`` and ``deformable``, and its execution."""

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
    """Requested registration.

    Attributes
    ----------
    model : {"auto", "translation", "rigid", "similarity", "affine"} or None
        Model of the affine stage; None to use `matrix` unchanged.
    matrix : (d + 1, d + 1) array
    initialisations : tuple of str, or (d + 1, d + 1) array
        Initialisations of the affine stage: names, or one matrix.
    deformable : bool or None
        Whether to deform; None to decide by the energy gained.
    input : InputTransform or None
        A map with a deformation, to be refined.
    """

    model: str | None
    matrix: Array
    initialisations: tuple[str, ...] | Array
    deformable: bool | None
    input: InputTransform | None = None

    def is_identity(self, moving: Image, fixed: Image) -> bool:
        """Whether the images are identical voxel by voxel, with no other request: an estimate of mutual information
        has its maximum near the identity, not exactly there, so that the result is the identity without descent.
        """
        if self.input is not None or not np.array_equal(self.matrix, np.eye(len(self.matrix))):
            return False
        return fixed.grid.same_space(moving.grid) and np.array_equal(fixed.data, moving.data)

    def level_count(self, problem: Problem) -> int:
        """Total number of levels of the stages."""
        affine = deformable = 0
        # a deformable start is compared with the result of the affine stage, unless the solver computed it
        if self.model is not None and not (self.input is not None and self.input.minimised):
            affine = len(affine_factors(problem, self.deformable is False))
        if self.deformable is not False:
            deformable = len(problem.factors)
        return affine + deformable


def chosen_search(
    affine: Any, start: Any, deformable: bool | None, fixed: Image, moving: Image
) -> Search:
    """The search defined by the arguments of ``solve``.

    Raises
    ------
    InputError, GeometryError, OverlapError, FileError
        If an argument is invalid, arguments contradict each other, or the images would hardly overlap.
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
    """The registration, the report on the start, and the reason for the model.

    Parameters
    ----------
    problem : Problem
    search : Search
    identical : bool
        Whether the result is the identity.
    recorder : Recorder
    seconds : dict
        Receives the time of each stage.
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
