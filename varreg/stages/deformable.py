"""Deformable stage: one descent per level, coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..backends.arrays import Array
from ..backends.namespace import on_host
from ..energy.deformable import DeformableObjective, State
from ..energy.smoothness import Smoothness
from ..energy.unfolding import unfold
from ..optimise.objective import Evaluation
from ..options.axes import axis_weights
from ..similarity.choice import deformable_choice
from .levels import Recorder, check_view, lower
from .problem import Problem
from .pyramid import (
    iteration_budget,
    node_shape,
    smoothness_length,
    smoothness_order,
    smoothness_weight,
)

#: Coordinates of a field, after the smoothness term that defines them.
Coordinates = tuple[Smoothness, Array]


@dataclass(frozen=True)
class Deformation:
    r"""Result of the deformable stage.

    Attributes
    ----------
    nodes : (d, \*m) array
        u at the nodes, mm.
    evaluation : Evaluation
        Evaluation at the last level.
    coordinates : (Smoothness, array)
        Coordinates of u, for continuation.
    """

    nodes: Array
    evaluation: Evaluation
    coordinates: Coordinates


#: Number of entries of a displacement from which on the descent runs on the device.
LEAST_ENTRIES_ON_DEVICE = 2**16


def deformable_stage(
    problem: Problem, affine: Array, recorder: Recorder, start: Array | None = None, first: int = 0,
    last: int | None = None, carried: Coordinates | None = None,
) -> Deformation:  # fmt: skip
    r"""Minimise the energy over displacements, coarse to fine.

    Parameters
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    recorder : Recorder
    start : (d, \*m) array, optional
        Initial u on the displacement grid of the finest level, without folds; zero by default.  Each
        level restarts from it if the result of coarser levels has a higher energy, so that the final
        energy never exceeds the energy of the start.
    first : int
        First level; its iteration budget includes the budget of the omitted level before it.
    last : int, optional
        Last level, by default the finest.
    carried : (Smoothness, array), optional
        Coordinates from another descent to continue from.

    Returns
    -------
    Deformation
    """
    finest = len(problem.factors) - 1
    given = None
    if start is not None:
        smoothness = level_smoothness(problem, finest)
        given = smoothness, smoothness.to_coordinates(start), start
    for level in range(first, finest + 1 if last is None else last + 1):
        objective = deformable_objective(problem, level, affine)
        state = _origin(objective, given)
        evaluation = objective.evaluate(state)
        if level == finest and given is None:
            recorder.still = evaluation.energy
        if carried is not None:
            before, coordinates = carried
            above = unfold(objective, before.transfer(coordinates, objective.smoothness))
            state, evaluation = lower(objective, above, state, evaluation)
        if level == finest:  # small masks may vanish at coarser levels
            check_view(evaluation)
        place, budget = (
            ("deformable", level, problem.factors[level]),
            _budget(problem, level, first if carried is None else 0),
        )
        shape = objective.similarity.fixed_grid.shape
        placed = _placed(objective, state)
        known = evaluation if placed[0] is state[0] else None  # else its gradient is on the host
        ended = recorder.run(objective, placed, problem.options, budget, place, shape, start=known)
        carried = objective.smoothness, on_host(ended.state[0])
        if level == finest and ended.recent is not None:
            recorder.recent = objective.smoothness.to_field(on_host(ended.recent))
    assert carried is not None
    return Deformation(on_host(ended.state[1]), ended.evaluation, carried)


def _placed(objective: DeformableObjective, state: State) -> State:
    """The state on the device of the images, if it has enough entries.

    Small states stay on the host, because on a device the latency of launches would dominate.
    """
    if state[0].size < LEAST_ENTRIES_ON_DEVICE:
        return state
    kernels = objective.similarity.kernels
    return kernels.resident(state[0]), kernels.resident(state[1])


def _budget(problem: Problem, level: int, first: int) -> int:
    """Iteration budget of a level; the first level also has the budget of the omitted level before it."""
    spent = (level - 1, level) if level == first > 0 else (level,)
    levels, dimension = len(problem.factors), problem.fixed.grid.dim
    return sum(iteration_budget(problem.options, k, levels, dimension) for k in spent)


def _origin(objective: DeformableObjective, given: tuple[Smoothness, Array, Array] | None) -> State:
    """Fallback state of a level: the given start, or u = 0."""
    smoothness = objective.smoothness
    if given is None:
        zero = np.zeros((objective.dimension, *smoothness.shape))
        return zero, zero
    source, coordinates, nodes = given
    if source.shape == smoothness.shape:  # unchanged, so that its energy is reproduced exactly
        return coordinates, nodes
    return unfold(objective, source.transfer(coordinates, smoothness))


def state_of(objective: DeformableObjective, nodes: Array) -> State:
    """State (z, u) of a displacement at the nodes."""
    return objective.smoothness.to_coordinates(nodes), nodes


def deformable_objective(
    problem: Problem, level: int, affine: Array, nodes: tuple[int, ...] | None = None,
    constraint: str | None = None,
) -> DeformableObjective:  # fmt: skip
    """Objective of a level; `nodes` and `constraint` override the options, for displacements from
    another source.
    """
    options = problem.options
    if constraint not in (None, options.constraint):
        options = options.replace(constraint=constraint)
    coarsest = level == 0 and len(problem.factors) > 1
    names = tuple(deformable_choice(name, coarsest) for name in problem.names)
    similarity = problem.similarity(problem.factors[level], names)
    smoothness = level_smoothness(problem, level, nodes, options.constraint)
    # far from the minimum the preconditioner is inaccurate; a fine map starts from a smooth one
    long_waves_first = level == 0 and options.regularity != "fine"
    return DeformableObjective(
        similarity, affine, smoothness, options, long_waves_first, problem.points, problem.rigid
    )


def level_smoothness(
    problem: Problem,
    level: int,
    nodes: tuple[int, ...] | None = None,
    constraint: str | None = None,
) -> Smoothness:
    """Smoothness term of a level.

    If ell is positive, all levels share one displacement grid, except that grids of fine maps are no finer than
    the voxels of the level.
    """
    grid, options = problem.fixed.grid, problem.options
    length = level_length(problem, level)
    if nodes is None:
        voxels = problem.level(problem.factors[level])[0].grid.shape
        nodes = node_shape(grid, options, length) if length > 0 else voxels
    spacing = grid.extent / np.array(nodes)
    weight, order = smoothness_weight(options, grid.dim), smoothness_order(options, grid.dim)
    constraint = constraint or options.constraint
    place = nodes, spacing, weight, length, constraint, problem.threads, order
    return Smoothness(*place, axis_weights(options, grid.dim))


def level_length(problem: Problem, level: int) -> float:
    """ell of a level, mm; of fine maps at least the voxel size of the level."""
    length = smoothness_length(problem.fixed.grid, problem.options)
    fine = problem.options.regularity == "fine"
    if not fine or length == 0 or level == len(problem.factors) - 1:
        return length
    return max(length, problem.factors[level] * float(problem.fixed.grid.spacing.min()))
