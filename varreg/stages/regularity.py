"""Deformable stage with a given, or with an automatically chosen regularity."""

from __future__ import annotations

from dataclasses import dataclass

from ..backends.arrays import Array
from ..energy.unfolding import unfold
from ..optimise.regularity_choice import RegularityChoice, choice_of
from .deformable import (
    Coordinates,
    Deformation,
    deformable_objective,
    deformable_stage,
    level_smoothness,
)
from .levels import Recorder
from .problem import Problem
from .pyramid import smoothness_length
from .unseen_rows import unseen_gain


@dataclass(frozen=True)
class RegularDeformation:
    """A deformation and the choice of its regularity.

    Attributes
    ----------
    deformation : Deformation
    problem : Problem
        Problem with the options of the last minimised energy.
    choice : RegularityChoice or None
        None if the regularity was given.
    """

    deformation: Deformation
    problem: Problem
    choice: RegularityChoice | None = None


def regular_deformation(problem: Problem, affine: Array, recorder: Recorder) -> RegularDeformation:
    """Deformable stage from an affine map.

    A fine map starts from the coarsest level of a smooth one, because it would fit noise while the images are
    still misaligned.

    Parameters
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    recorder : Recorder

    Returns
    -------
    RegularDeformation
    """
    options = problem.options
    if options.regularity == "smooth":
        return RegularDeformation(deformable_stage(problem, affine, recorder), problem)
    smooth, fine = with_regularity(problem, "smooth"), with_regularity(problem, "fine")
    coarsest = deformable_stage(smooth, affine, recorder, last=0)
    choice = None
    if options.regularity == "auto":
        choice = chosen_regularity(smooth, fine, affine, coarsest.coordinates)
        if choice.regularity == "smooth":
            return RegularDeformation(_finished(smooth, affine, recorder, coarsest), smooth, choice)
    found = deformable_stage(fine, affine, recorder, carried=coarsest.coordinates)
    return RegularDeformation(found, fine, choice)


def refined_deformation(
    problem: Problem, affine: Array, recorder: Recorder, start: Array, first: int
) -> RegularDeformation:
    """Refinement of a displacement: see :func:`varreg.stages.deformable.deformable_stage`.

    Regularity "auto" is decided at the coarsest level, as without a start; the finer levels of a smooth map would be
    discarded if the fine map is chosen.
    """
    if problem.options.regularity != "auto":
        return RegularDeformation(
            deformable_stage(problem, affine, recorder, start, first), problem
        )
    smooth, fine = with_regularity(problem, "smooth"), with_regularity(problem, "fine")
    tried = Recorder(recorder.observer)
    coarsest = deformable_stage(smooth, affine, tried, start, last=0)
    choice = chosen_regularity(smooth, fine, affine, coarsest.coordinates)
    chosen = fine if choice.regularity == "fine" else smooth
    if chosen is smooth and first > 0:
        found = deformable_stage(smooth, affine, recorder, start, first)
        return RegularDeformation(found, smooth, choice)
    recorder.adopt(tried)
    if chosen is smooth and len(smooth.factors) == 1:
        return RegularDeformation(coarsest, smooth, choice)
    begin, carried = int(chosen is smooth), coarsest.coordinates
    if chosen is fine:
        start = _on_its_nodes(fine, smooth, affine, start)
    found = deformable_stage(chosen, affine, recorder, start, begin, carried=carried)
    return RegularDeformation(found, chosen, choice)


def _on_its_nodes(problem: Problem, before: Problem, affine: Array, nodes: Array) -> Array:
    """Displacement of another regularity, transferred to the nodes of the finest level and unfolded."""
    finest = len(problem.factors) - 1
    objective, smoothness = (
        deformable_objective(problem, finest, affine),
        level_smoothness(before, finest),
    )
    coordinates = smoothness.transfer(smoothness.to_coordinates(nodes), objective.smoothness)
    return unfold(objective, coordinates)[1]


def with_regularity(problem: Problem, regularity: str) -> Problem:
    """The problem with a given regularity, and its defaults if the options have another."""
    options, dimension = problem.options, problem.fixed.grid.dim
    if options.regularity == regularity:
        return problem
    return problem.with_options(options.of_regularity(regularity).decided(dimension))


def chosen_regularity(
    smooth: Problem, fine: Problem, affine: Array, carried: Coordinates
) -> RegularityChoice:
    """Choice of the regularity on held-out voxels."""
    length = smoothness_length(fine.fixed.grid, fine.options)
    return choice_of(*unseen_gain(smooth, fine, affine, carried), length)


def _finished(
    problem: Problem, affine: Array, recorder: Recorder, coarsest: Deformation
) -> Deformation:
    """Continuation at the levels after the coarsest one, if there are any."""
    if len(problem.factors) == 1:
        return coarsest
    carried = coarsest.coordinates
    return deformable_stage(problem, affine, recorder, first=1, carried=carried)
