"""Measurements of a map: energy, refinement by the solver, folds and inverse."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backends.arrays import Array
from ..checks.answer import Answer
from ..checks.checks import checks_of
from ..checks.head import head_of
from ..energy.deformable import DeformableObjective
from ..errors import OverlapError
from ..geometry.affine_parts import affine_parts
from ..geometry.displacement import expand
from ..initial.input_transform import InputTransform
from ..initial.smoothing_spline import smoothing_spline_fit
from ..initial.warm_start import moved_between, on_displacement_grid, unfolded_start
from ..optimise.check import Check
from ..optimise.history import Energy
from ..optimise.minimise import minimise
from ..optimise.objective import Evaluation
from ..stages.deformable import deformable_objective, state_of
from ..stages.levels import affine_evaluation, check_view
from ..stages.problem import Problem
from ..transforms.transform import Transform
from .baselines import perturbations, shuffled
from .field_figures import folds_of, inverse_residual
from .records import Gradients, Refinement


def figures_of(
    problem: Problem, source: InputTransform, odd: tuple[Check, ...], budget: int, random: np.random.Generator
) -> dict[str, Any]:  # fmt: skip
    """Measurements of a map: fields of the certificate.

    Parameters
    ----------
    problem : Problem
    source : InputTransform
        The map, on the grids of the problem.
    odd : tuple of Check
        Failed checks of the images and masks.
    budget : int
        Number of steps of the refinement.
    random : numpy Generator

    Raises
    ------
    OverlapError
        If no voxel inside the mask is in view.
    """
    transform, constraint = source.transform, problem.options.constraint
    as_given, in_view = _as_given(problem, transform)
    affine, nodes = on_displacement_grid(problem, transform)
    mean_moved, largest_moved = moved_between(problem, transform, affine, nodes)
    objective = deformable_objective(problem, len(problem.factors) - 1, affine)
    here, gradients, alone = _evaluations(problem, objective, nodes)
    answer = Answer(problem, affine, nodes, here.energy, in_view, here.smallest_determinant)
    objective, start, unfolding = unfolded_start(problem, affine, nodes)
    identity = answer.identity
    return {
        "similarity_as_given": as_given,
        "folds_as_given": folds_of(problem, transform.nodes, transform.constraint),
        "mean_moved": mean_moved,
        "largest_moved": largest_moved,
        "energy": here.energy,
        "folds": folds_of(problem, nodes, constraint),
        "unfolding": unfolding,
        "identity": identity,
        "affine": alone.energy,
        "affine_stage": _affine_stage(problem, affine) if transform.nodes is None else None,
        "affine_determinant": float(np.linalg.det(affine[:-1, :-1])),
        "affine_scales": tuple(map(float, affine_parts(affine, problem.fixed.grid)[1])),
        "gradients": gradients,
        "refinement": _refinement(problem, objective, start, budget, identity, source.minimised),
        "inverse": inverse_residual(transform, random),
        "overlap": problem.fixed.grid.overlap_fraction(problem.moving.grid, affine),
        "in_view": in_view,
        "shuffled": shuffled(problem, transform, random),
        "perturbations": perturbations(problem, objective, start, random),
        "checks": (*odd, *checks_of(answer)),
    }


def _as_given(problem: Problem, transform: Transform) -> tuple[float, float]:
    """Similarity of the original map, and the share of the fixed voxels inside the mask that it maps into view."""
    finest = len(problem.factors) - 1
    shape = None if transform.nodes is None else transform.nodes.shape[1:]
    objective = deformable_objective(problem, finest, transform.affine, shape, transform.constraint)
    nodes = transform.nodes
    if nodes is None:
        nodes = np.zeros((objective.dimension, *objective.smoothness.shape))
    evaluation = objective.evaluate_folded(state_of(objective, nodes))
    if not evaluation.in_view > 0:
        raise OverlapError(
            "varreg.certify: `transform` maps no voxel inside the mask of `fixed` to a voxel "
            "inside the mask of `moving`; check its direction (fixed -> moving, world mm) "
            "and the masks."
        )
    return evaluation.energy.similarity, float(evaluation.in_view)


def _evaluations(
    problem: Problem, objective: DeformableObjective, nodes: Array
) -> tuple[Evaluation, Gradients, Evaluation]:
    """Evaluation of the map, norms of its gradients, and evaluation after affine."""
    still = state_of(objective, np.zeros_like(nodes))
    headers = deformable_objective(problem, len(problem.factors) - 1, np.eye(nodes.ndim))
    identity, alone = headers.evaluate(still), objective.evaluate(still)
    here = objective.evaluate_folded(state_of(objective, nodes))
    norms = (float(np.linalg.norm(e.gradient())) for e in (here, alone, identity))
    return here, Gradients(*norms), alone


def _affine_stage(problem: Problem, affine: Array) -> Energy:
    """Energy of the affine stage."""
    return check_view(affine_evaluation(problem, affine)).energy


def _refinement(
    problem: Problem, objective: DeformableObjective, nodes: Array, budget: int, identity: Energy,
    minimised: bool,
) -> Refinement:  # fmt: skip
    """Energy gained by further steps of the solver at the finest level, and the resulting motion.

    It is prepared like a start (:mod:`varreg.initial.warm_start`): a map that minimises another
    energy is first fitted by a smoothing spline, or the first steps would remove its details along with its roughness.
    """
    start = objective.evaluate(state_of(objective, nodes)).energy
    as_it_is = minimised or budget == 0
    state = state_of(
        objective, nodes if as_it_is else smoothing_spline_fit(problem, objective, nodes)
    )
    ended = minimise(objective, state, problem.options, budget, stage="refinement")
    change = expand(ended.state[1] - nodes, problem.fixed.grid.shape, problem.options.constraint)
    moved = np.sqrt(np.square(change[:, head_of(problem.fixed).shown]).sum(0))
    end = ended.evaluation.energy
    below = identity.total - end.total
    share = 100 * (start.total - end.total) / below if below > 0 else None
    largest, tail = float(moved.max()), float(np.percentile(moved, 95))
    return Refinement(
        ended.iterations, ended.stop, start, end, share, float(moved.mean()), tail, largest
    )
