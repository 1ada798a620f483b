"""A given map as a start: on the displacement grid, of zero mean where that is asked, without folds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backends.arrays import Array
from ..energy.deformable import DeformableObjective
from ..geometry.displacement import expand
from ..geometry.folding import smallest_determinant
from ..geometry.projection import Moved, distance, project
from ..optimise.history import Energy, StartReport
from ..stages.deformable import deformable_objective, level_smoothness, state_of
from ..stages.problem import Problem
from ..stages.pyramid import smoothness_length
from ..transforms.transform import Transform
from .input_transform import GivenMap
from .smoothing_spline import eased
from .unfolding import repair

#: A start that lowers the gradient to this share of what it is at u = 0 needs the finest level alone.
SETTLED = 0.95


@dataclass(frozen=True)
class WarmStart:
    """Where the deformable stage starts.

    Attributes
    ----------
    affine : (d + 1, d + 1) array
        A, fixed world -> moving world.
    nodes : (d, *m) array
        u on the displacement grid of the finest level, mm.
    first : int
        The level to begin with.
    report : StartReport
    """

    affine: Array
    nodes: Array
    first: int
    report: StartReport


def warm_start(problem: Problem, given: GivenMap) -> WarmStart:
    """The start that a given map makes.

    It is brought to the displacement grid, then freed of folds, then of the roughness that only
    costs energy (:mod:`varreg.initial.smoothing_spline`; not if it was minimised already).

    Parameters
    ----------
    problem : Problem
    given : GivenMap
        On the grids of the problem.
    """
    finest = len(problem.factors) - 1
    affine, nodes = on_displacement_grid(problem, given.transform)
    objective = deformable_objective(problem, finest, affine)
    mended, mending = repair(objective, nodes)
    if mending is not None:
        affine, mended = without_mean(problem, affine, mended)
        objective = deformable_objective(problem, finest, affine)
    probe, nodes = objective, mended
    if not given.minimised:
        probe = deformable_objective(problem, probe_level(problem), affine)
        nodes = eased(problem, probe, mended)
    trial = objective.evaluate(state_of(objective, nodes))
    if nodes is not mended:  # the probe is not the finest level, whose energy must not rise
        whole = objective.evaluate(state_of(objective, mended))
        if whole.energy <= trial.energy:
            nodes, trial = mended, whole
    energy = Energy(trial.similarity, trial.smoothness, trial.energy)
    moved = moved_between(problem, given.transform, affine, nodes)
    bound = given_bound(problem, given.transform)
    report = StartReport(given.kind, energy, bound, moved.mean, moved.largest, mending)
    return WarmStart(affine, nodes, _first_level(probe, nodes, finest), report)


def on_displacement_grid(problem: Problem, transform: Transform) -> tuple[Array, Array]:
    """(A, u at the nodes of the finest level): a map as the solver writes it, folds and all.

    Of the least distance at the fixed voxels; the same bits if it was written so before.  A mean
    that the constraint forbids becomes a part of A, so that the map stays the same.
    """
    finest = len(problem.factors) - 1
    onto = level_smoothness(problem, finest).shape
    grid, constraint = problem.fixed.grid, problem.options.constraint
    if transform.nodes is None:
        return transform.affine, np.zeros((grid.dim, *onto))
    nodes = project(transform.nodes, transform.constraint, grid.shape, onto, constraint)
    return without_mean(problem, transform.affine, nodes)


def moved_between(problem: Problem, given: Transform, affine: Array, nodes: Array) -> Moved:
    """How far (A, u) takes the fixed voxels from where a map took them, in mm before A."""
    grid = problem.fixed.grid
    shift: Array = np.zeros(grid.dim)
    if not np.array_equal(given.affine, affine):  # without_mean changes nothing but the shift
        shift = np.linalg.solve(given.affine, affine)[:-1, -1]
    mean = np.linalg.solve(grid.direction, shift).reshape((-1,) + (1,) * grid.dim)
    if given.nodes is not None and np.array_equal(given.nodes, nodes) and not shift.any():
        return Moved()
    change = expand(nodes + mean, grid.shape, problem.options.constraint)
    if given.nodes is not None:
        change = change - expand(given.nodes, grid.shape, given.constraint)
    return distance(change)


def given_bound(problem: Problem, transform: Transform) -> float:
    """Bound on det(id + grad u) of a map on the nodes it came with."""
    if transform.nodes is None:
        return 1.0
    spacing = problem.fixed.grid.extent / np.array(transform.nodes.shape[1:])
    kernels, threads = problem.kernels, problem.threads
    return smallest_determinant(transform.nodes, spacing, transform.constraint, kernels, threads)[0]


def probe_level(problem: Problem) -> int:
    """The level at which a start is looked at: cheaper than the finest, if that has the same nodes and
    is not the coarsest, which may have another similarity.
    """
    finest = len(problem.factors) - 1
    same_nodes = smoothness_length(problem.fixed.grid, problem.options) > 0
    return finest - 1 if finest > 1 and same_nodes else finest


def _first_level(objective: DeformableObjective, nodes: Array, finest: int) -> int:
    """The finest for a good start, which coarser ones would only blur; the one before for another.

    All for u = 0, which is no start.
    """
    if not nodes.any():
        return 0
    norms = []
    for field in (np.zeros_like(nodes), nodes):
        objective.evaluate(state_of(objective, field))
        norms.append(float(np.linalg.norm(objective.gradient())))
    return finest if norms[1] <= SETTLED * norms[0] else max(finest - 1, 0)


def without_mean(problem: Problem, affine: Array, nodes: Array) -> tuple[Array, Array]:
    """A(x + c + u) = (A T_c)(x + u): the mean that the constraint forbids is a part of A."""
    if problem.options.constraint != "zero-mean":
        return affine, nodes
    mean = nodes.mean(axis=tuple(range(1, nodes.ndim)))
    # what rounding leaves of a mean is none: a start of ours must come back with the same bits
    if np.abs(mean).max() <= 1e-12 * float(np.abs(nodes).max()):
        return affine, nodes
    shift = np.eye(len(affine))
    shift[:-1, -1] = problem.fixed.grid.direction @ mean
    return affine @ shift, nodes - mean.reshape((-1,) + (1,) * (nodes.ndim - 1))
