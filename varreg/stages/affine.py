"""Affine stage: a search over initialisations at the coarsest level, then coarse-to-fine optimisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..backends.arrays import Array
from ..geometry.affine_models import nearest_of_model
from .affine_search import affine_objective, best_initialisation
from .initialisations import shows_all
from .levels import Recorder, lower_start
from .problem import Problem

#: Coarsening of the first affine level relative to the coarsest deformable level ...
COARSER = 2.0
#: ... if that level has at least this many voxels along the shortest axis.
LEAST_VOXELS = 16
#: Number of finest levels omitted if the deformable stage follows.
LEFT_TO_DEFORMABLE = 2
#: The same for truncated images: thin slabs have few voxels at coarse levels.
LEFT_OF_CUT = 1


def affine_stage(
    problem: Problem, model: str, initialisations: tuple[str, ...] | Array, last: bool, recorder: Recorder,
    also: Array | None = None,
) -> Array:  # fmt: skip
    """Affine registration.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    initialisations : tuple of str, or (d + 1, d + 1) array
        Names for :func:`varreg.stages.initialisations.candidates`, or one initialisation.
    last : bool
        Whether no deformable stage follows; then the finest levels are included.
    recorder : Recorder
    also : (d + 1, d + 1) array, optional
        One more initialisation; by default the fit to the matching points, if there are any.

    Returns
    -------
    (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    """
    given = initialisations if isinstance(initialisations, np.ndarray) else None
    if problem.points is not None:
        if also is None:
            also = nearest_of_model(problem.points.rigid(), model, problem.fixed.grid)
        if not last:  # the deformation that the points require must not bias the affine part
            problem = replace(problem, points=None, energies={})
    if isinstance(initialisations, tuple):
        factors = affine_factors(problem, last=True)
        first = best_initialisation(
            problem, model, initialisations, factors, recorder.observer, also
        )
    else:
        first = initialisations
    levels = len(affine_factors(problem, last))
    return affine_levels(problem, model, first, 0, recorder, levels, given)


def affine_levels(
    problem: Problem, model: str, matrix: Array, first: int, recorder: Recorder,
    stop: int | None = None, reference: Array | None = None,
) -> Array:  # fmt: skip
    """Optimisation at the levels first, ..., stop - 1, from an initial matrix.

    Parameters
    ----------
    problem : Problem
    model : {"translation", "rigid", "similarity", "affine"}
    matrix : (d + 1, d + 1) array
        Initial map, fixed world -> moving world (mm).
    first : int
        First level; negative values mean 0.
    recorder : Recorder
    stop : int, optional
        All levels by default.
    reference : (d + 1, d + 1) array, optional
        Given start, used again at levels where the result of coarser levels has a higher energy; by default the
        identity.

    Returns
    -------
    (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    """
    origin = np.eye(problem.fixed.grid.dim + 1) if reference is None else reference
    options, start, begun = problem.options, None, False
    for level, factor in list(enumerate(affine_factors(problem, last=True)))[max(first, 0) : stop]:
        # stretches are penalised at the coarsest level only, as finer levels remain near its result
        objective = affine_objective(problem, model, factor, reference, held=level == 0)
        if begun:
            matrix, start = lower_start(objective, matrix, origin)
        place, shape = ("affine", level, factor), objective.similarity.fixed_grid.shape
        steps = options.affine_iterations
        matrix = recorder.run(objective, matrix, options, steps, place, shape, start=start).state
        begun = True
    return matrix


def affine_factors(problem: Problem, last: bool) -> Sequence[float]:
    """Coarsening factors of the affine stage, which starts coarser than the deformable stage."""
    factors = list(problem.factors)
    coarser = COARSER * factors[0]
    if (
        min(problem.fixed.grid.extent) / (coarser * problem.fixed.grid.spacing.min())
        >= LEAST_VOXELS
    ):
        factors.insert(0, coarser)
    whole = shows_all(*problem.level(factors[0]))
    left = 0 if last else LEFT_TO_DEFORMABLE if whole else LEFT_OF_CUT
    return factors[: max(len(factors) - left, 1)]
