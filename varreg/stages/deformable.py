"""The deformable stage: one descent per level, coarse to fine."""

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

#: Coordinates of a field, and the smoothness term that they belong to.
Coordinates = tuple[Smoothness, Array]


@dataclass(frozen=True)
class Deformation:
    r"""Where the deformable stage has ended.

    Attributes
    ----------
    nodes : (d, \*m) array
        u, mm.
    evaluation : Evaluation
        At its last level.
    coordinates : (Smoothness, array)
        Of u, to go on with.
    """

    nodes: Array
    evaluation: Evaluation
    coordinates: Coordinates


#: Entries of a displacement at its nodes from which on it stays on a device.
LEAST_ENTRIES_ON_DEVICE = 2**16


def deformable_stage(
    problem: Problem, affine: Array, recorder: Recorder, start: Array | None = None, first: int = 0,
    last: int | None = None, carried: Coordinates | None = None,
) -> Deformation:  # fmt: skip
    r"""The displacement of least energy, coarse to fine.

    Parameters
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
    recorder : Recorder
    start : (d, \*m) array, optional
        u to start from, on the displacement grid of the finest level and without folds; by default
        it is zero.  Each level takes it up again where coarser ones have led to a higher energy, so
        that the stage never ends above it.
    first : int
        The level to begin with; it may spend what the one before it would have spent, too.
    last : int, optional
        The level to end with, by default the finest.
    carried : (Smoothness, array), optional
        Where another descent has ended, to go on from.
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
        known = evaluation if placed[0] is state[0] else None  # its gradient is where the state was
        ended = recorder.run(objective, placed, problem.options, budget, place, shape, start=known)
        carried = objective.smoothness, on_host(ended.state[0])
        if level == finest and ended.recent is not None:
            recorder.recent = objective.smoothness.to_field(on_host(ended.recent))
    assert carried is not None
    return Deformation(on_host(ended.state[1]), ended.evaluation, carried)


def _placed(objective: DeformableObjective, state: State) -> State:
    """The state where the descent is to work: where the images are, if it has many nodes.

    Few nodes are best left to the host: there a device does nothing but wait for launches.
    """
    if state[0].size < LEAST_ENTRIES_ON_DEVICE:
        return state
    kernels = objective.similarity.kernels
    return kernels.resident(state[0]), kernels.resident(state[1])


def _budget(problem: Problem, level: int, first: int) -> int:
    """Most steps of a level; the first one may spend what the last one left out would have spent."""
    spent = (level - 1, level) if level == first > 0 else (level,)
    levels, dimension = len(problem.factors), problem.fixed.grid.dim
    return sum(iteration_budget(problem.options, k, levels, dimension) for k in spent)


def _origin(objective: DeformableObjective, given: tuple[Smoothness, Array, Array] | None) -> State:
    """The state that a level falls back on: the start, or u = 0."""
    smoothness = objective.smoothness
    if given is None:
        zero = np.zeros((objective.dimension, *smoothness.shape))
        return zero, zero
    source, coordinates, nodes = given
    if source.shape == smoothness.shape:  # as it is: the last bits of its energy count
        return coordinates, nodes
    return unfold(objective, source.transfer(coordinates, smoothness))


def state_of(objective: DeformableObjective, nodes: Array) -> State:
    """The state (z, u) of a field at the nodes."""
    return objective.smoothness.to_coordinates(nodes), nodes


def deformable_objective(
    problem: Problem, level: int, affine: Array, nodes: tuple[int, ...] | None = None,
    constraint: str | None = None,
) -> DeformableObjective:  # fmt: skip
    """The energy of a level; `nodes` and `constraint` other than those of the options are for
    displacements that come from elsewhere.
    """
    options = problem.options
    if constraint not in (None, options.constraint):
        options = options.replace(constraint=constraint)
    coarsest = level == 0 and len(problem.factors) > 1
    names = tuple(deformable_choice(name, coarsest) for name in problem.names)
    similarity = problem.similarity(problem.factors[level], names)
    smoothness = level_smoothness(problem, level, nodes, options.constraint)
    # far from the answer the data say little about the Hessian; a fine map goes on from a smooth one
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
    """The smoothness term of a level.

    Its displacement grid is that of every level if ell is above 0; of fine maps where no voxel is larger.
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
    """ell of a level, mm: of fine maps what its voxels do not show is left to finer ones."""
    length = smoothness_length(problem.fixed.grid, problem.options)
    fine = problem.options.regularity == "fine"
    if not fine or length == 0 or level == len(problem.factors) - 1:
        return length
    return max(length, problem.factors[level] * float(problem.fixed.grid.spacing.min()))
