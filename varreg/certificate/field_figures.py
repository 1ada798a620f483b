"""Folds of a map and the residual of its inverse."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..geometry.folded_cells import nearly_folded_cells
from ..geometry.folding import smallest_determinant
from ..stages.problem import Problem
from ..transforms.inversion import default_tolerance, residuals
from ..transforms.transform import Transform
from .records import Folds, InverseResidual, Place

#: Largest number of folds that are listed.
PLACES = 10
#: Largest number of moving voxels for the inverse; larger images are sampled at random.
INVERTED = 2**16
#: Maximum number of iterations of the inverse.
STEPS = 100


def folds_of(problem: Problem, nodes: Array | None, constraint: str) -> Folds:
    """Number of folded cells of the displacement, and the position of the worst."""
    grid = problem.fixed.grid
    if nodes is None:
        return Folds(1.0, grid.shape, 0, 0, ())
    shape = np.array(nodes.shape[1:])
    spacing = grid.extent / shape
    kernels, threads = problem.kernels, problem.threads
    bound, _ = smallest_determinant(nodes, spacing, constraint, kernels, threads)
    places, bounds, cells = nearly_folded_cells(nodes, spacing, constraint, 0.0, kernels, threads)
    voxels = ((places[:PLACES] + 0.5) * (np.array(grid.shape) / shape) - 0.5).T
    world = grid.voxel_to_world(voxels)
    worst = [
        Place(tuple(map(float, voxel)), tuple(map(float, there)), float(value))
        for voxel, there, value in zip(voxels.T, world.T, bounds[:PLACES], strict=True)
    ]
    return Folds(bound, tuple(map(int, shape)), cells, len(bounds), tuple(worst))


def inverse_residual(transform: Transform, random: np.random.Generator) -> InverseResidual:
    """The residual of the inverse at moving voxels."""
    moving = transform.moving
    chosen = np.arange(moving.size)
    if moving.size > INVERTED:
        chosen = np.sort(random.choice(moving.size, INVERTED, replace=False))
    voxels = np.stack(np.unravel_index(chosen, moving.shape)).astype(np.float64)
    tolerance = default_tolerance(transform)
    found = residuals(transform, voxels, tolerance, STEPS)
    return InverseResidual(len(chosen), float(found.max()), float(found.mean()), tolerance)
