"""The deformable stage with the regularity of the options, or with the one that there is evidence for."""

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
    """A deformation, and the regularity that it has.

    Attributes
    ----------
    deformation : Deformation
    problem : Problem
        With the options whose energy was minimised last.
    choice : RegularityChoice or None
        None if it was given.
    """

    deformation: Deformation
    problem: Problem
    choice: RegularityChoice | None = None


def regular_deformation(problem: Problem, affine: Array, recorder: Recorder) -> RegularDeformation:
    """The displacement from an affine map.

    A fine map starts from the coarsest level of a smooth one: it would follow noise where images are still
    far apart.

    Parameters
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
    recorder : Recorder
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
    """The displacement from one to refine: see :func:`varreg.stages.deformable.deformable_stage`.

    An open regularity is decided at the coarsest level, as without a start: a smooth map of all levels would be of no
    use where a fine one is taken.
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
    """A displacement of another regularity on the nodes of the finest level, unfolded there."""
    finest = len(problem.factors) - 1
    objective, smoothness = (
        deformable_objective(problem, finest, affine),
        level_smoothness(before, finest),
    )
    coordinates = smoothness.transfer(smoothness.to_coordinates(nodes), objective.smoothness)
    return unfold(objective, coordinates)[1]


def with_regularity(problem: Problem, regularity: str) -> Problem:
    """The problem with a regularity: with its own numbers, if it is not that of the options."""
    options, dimension = problem.options, problem.fixed.grid.dim
    if options.regularity == regularity:
        return problem
    return problem.with_options(options.of_regularity(regularity).decided(dimension))


def chosen_regularity(
    smooth: Problem, fine: Problem, affine: Array, carried: Coordinates
) -> RegularityChoice:
    """The regularity that voxels speak for which were left out of a trial."""
    length = smoothness_length(fine.fixed.grid, fine.options)
    return choice_of(*unseen_gain(smooth, fine, affine, carried), length)


def _finished(
    problem: Problem, affine: Array, recorder: Recorder, coarsest: Deformation
) -> Deformation:
    """The levels after the coarsest one, if there are any."""
    if len(problem.factors) == 1:
        return coarsest
    carried = coarsest.coordinates
    return deformable_stage(problem, affine, recorder, first=1, carried=carried)
