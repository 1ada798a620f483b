"""An input transform as the start of the deformable stage: on its displacement grid, with zero mean, unfolded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backends.arrays import Array
from ..energy.deformable import DeformableObjective
from ..energy.unfolding import unfold
from ..geometry.displacement import expand
from ..geometry.folding import smallest_determinant
from ..geometry.projection import mean_and_largest, project
from ..optimise.history import StartReport, Unfolding
from ..options.axes import axis_weights
from ..stages.deformable import deformable_objective, level_smoothness, state_of
from ..stages.problem import Problem
from ..stages.pyramid import smoothness_length
from ..transforms.transform import Transform
from .input_transform import InputTransform
from .smoothing_spline import smoothing_spline_fit


@dataclass(frozen=True)
class WarmStart:
    """Start of the deformable stage.

    Attributes
    ----------
    affine : (d + 1, d + 1) array
        A, fixed world -> moving world.
    nodes : (d, *m) array
        u on the displacement grid of the finest level, mm.
    first : int
        First level.
    report : StartReport
    """

    affine: Array
    nodes: Array
    first: int
    report: StartReport


def warm_start(problem: Problem, source: InputTransform) -> WarmStart:
    """The start defined by an input transform.

    It is sampled on the displacement grid, then unfolded, then freed of roughness that only
    increases the energy (:mod:`varreg.initial.smoothing_spline`; not if the solver computed it).

    Parameters
    ----------
    problem : Problem
    source : InputTransform
        On the grids of the problem.
    """
    finest = len(problem.factors) - 1
    affine, nodes = on_displacement_grid(problem, source.transform)
    nodes = along_axes(problem, nodes)
    objective, nodes, unfolding = unfolded_start(problem, affine, nodes)
    start = nodes
    if not source.minimised:
        probe = deformable_objective(problem, probe_level(problem), affine)
        start = smoothing_spline_fit(problem, probe, nodes)
    evaluation = objective.evaluate(state_of(objective, start))
    if start is not nodes:  # the probe level is not the finest, where the energy must not rise
        whole = objective.evaluate(state_of(objective, nodes))
        if whole.energy.total <= evaluation.energy.total:
            start, evaluation = nodes, whole
    mean, largest = moved_between(problem, source.transform, affine, start)
    bound = input_bound(problem, source.transform)
    report = StartReport(source.kind, evaluation.energy, bound, mean, largest, unfolding)
    # coarser levels would blur a start, unlike u = 0; a start rarely needs the coarse-to-fine descent of a cold start
    whole_descent = problem.options.regularity == "fine" and not source.minimised
    first = finest if start.any() and not whole_descent else 0
    return WarmStart(affine, start, first, report)


def unfolded_start(
    problem: Problem, affine: Array, nodes: Array
) -> tuple[DeformableObjective, Array, Unfolding | None]:
    """The objective of the finest level, u damped until no cell folds, and the change by the damping."""
    objective = deformable_objective(problem, len(problem.factors) - 1, affine)
    before = objective.bound(nodes)
    if before >= problem.options.smallest_determinant:
        return objective, nodes, None
    _, damped = unfold(objective, objective.smoothness.to_coordinates(nodes))
    change = expand(damped - nodes, problem.fixed.grid.shape, problem.options.constraint)
    return objective, damped, Unfolding(before, objective.bound(damped), *mean_and_largest(change))


def on_displacement_grid(problem: Problem, transform: Transform) -> tuple[Array, Array]:
    """(A, u at the nodes of the finest level): a map in the solver's representation, including folds.

    Closest at the fixed voxels; bitwise identical if it already had this representation.  A mean
    that the constraint excludes is moved into A, so that the map is unchanged.
    """
    finest = len(problem.factors) - 1
    onto = level_smoothness(problem, finest).shape
    grid, constraint = problem.fixed.grid, problem.options.constraint
    if transform.nodes is None:
        return transform.affine, np.zeros((grid.dim, *onto))
    nodes = project(transform.nodes, transform.constraint, grid.shape, onto, constraint)
    return without_mean(problem, transform.affine, nodes)


def along_axes(problem: Problem, nodes: Array) -> Array:
    """u without components along axes of weight zero; unchanged if all axes are free."""
    weights = axis_weights(problem.options, len(nodes))
    if weights is None or all(weights):
        return nodes
    return nodes * np.reshape([weight > 0 for weight in weights], (-1,) + (1,) * len(nodes))


def moved_between(
    problem: Problem, source: Transform, affine: Array, nodes: Array
) -> tuple[float, float]:
    """Mean and largest distance (mm, before A) at the fixed voxels between (A, u) and a map."""
    grid = problem.fixed.grid
    shift: Array = np.zeros(grid.dim)
    if not np.array_equal(source.affine, affine):  # without_mean changes only the shift
        shift = np.linalg.solve(source.affine, affine)[:-1, -1]
    mean = np.linalg.solve(grid.direction, shift).reshape((-1,) + (1,) * grid.dim)
    if source.nodes is not None and np.array_equal(source.nodes, nodes) and not shift.any():
        return 0.0, 0.0
    # single precision suffices for reported figures
    change = expand((nodes + mean).astype(np.float32), grid.shape, problem.options.constraint)
    if source.nodes is not None:
        before = source.nodes.astype(np.float32)
        change = change - expand(before, grid.shape, source.constraint)
    return mean_and_largest(change)


def input_bound(problem: Problem, transform: Transform) -> float:
    """Bound on det(id + grad u) of a map on its original nodes."""
    if transform.nodes is None:
        return 1.0
    spacing = problem.fixed.grid.extent / np.array(transform.nodes.shape[1:])
    kernels, threads = problem.kernels, problem.threads
    return smallest_determinant(transform.nodes, spacing, transform.constraint, kernels, threads)[0]


def probe_level(problem: Problem) -> int:
    """The level at which a start is evaluated: cheaper than the finest, if it has the same nodes and
    is not the coarsest, which may have another similarity.
    """
    finest = len(problem.factors) - 1
    same_nodes = smoothness_length(problem.fixed.grid, problem.options) > 0
    return finest - 1 if finest > 1 and same_nodes else finest


def without_mean(problem: Problem, affine: Array, nodes: Array) -> tuple[Array, Array]:
    """A(x + c + u) = (A T_c)(x + u): the mean that the constraint excludes is moved into A."""
    if problem.options.constraint != "zero-mean":
        return affine, nodes
    mean = nodes.mean(axis=tuple(range(1, nodes.ndim)))
    # a mean within rounding errors is kept: a start from the solver must be reproduced bitwise
    if np.abs(mean).max() <= 1e-12 * float(np.abs(nodes).max()):
        return affine, nodes
    shift = np.eye(len(affine))
    shift[:-1, -1] = problem.fixed.grid.direction @ mean
    return affine @ shift, nodes - mean.reshape((-1,) + (1,) * (nodes.ndim - 1))
