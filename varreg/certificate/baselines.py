"""Reference values of similarity and energy: for independent images, and for perturbed maps."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..energy.deformable import DeformableObjective
from ..energy.smoothness import laplacian_symbol
from ..geometry import resampling
from ..images.level_image import LevelImage
from ..stages.deformable import state_of
from ..stages.levels import affine_energy
from ..stages.problem import Problem
from ..transforms.transform import Transform
from .records import Perturbation, Shuffled

#: Number of permutations, and of random fields of each amplitude.
PERMUTATIONS, FIELDS = 8, 8
#: Root mean square of the random fields, in voxels.
SIZES = (0.25, 0.5, 1.0, 2.0)
#: Correlation length of the random fields, as a share of the geometric mean extent: 22 mm for a head.
CORRELATION = 0.1


def shuffled(problem: Problem, transform: Transform, random: np.random.Generator) -> Shuffled:
    """The similarity after random permutation of the warped intensities: the level of independent images.

    Parameters
    ----------
    problem : Problem
    transform : Transform
    random : numpy Generator
    """
    fixed, moving = problem.level(problem.factors[-1])
    placed = Transform(
        fixed.grid, moving.grid, transform.affine, transform.nodes, transform.constraint
    )
    shape, coordinates = fixed.grid.shape, placed.moving_coordinates
    values = resampling.warp(moving.data, shape, coordinates, "linear", 0.0)
    mask = np.ones(moving.data.shape, np.float32) if moving.mask is None else moving.mask
    weight = resampling.warp(np.asarray(mask, np.float32), shape, coordinates, "linear", 0.0)
    if not moving.weighted:
        weight = (weight > 0.5).astype(np.float32)
    counts = weight > 0
    if fixed.counted is not None:
        counts &= fixed.counted
    found = []
    for _ in range(PERMUTATIONS):
        places = random.permutation(np.flatnonzero(counts))
        mixed, mark = np.zeros_like(values), np.zeros_like(weight)
        mixed[counts], mark[counts] = values.ravel()[places], weight.ravel()[places]
        found.append(_similarity(problem, fixed, LevelImage(mixed, mark, fixed.grid, True)))
    return Shuffled(PERMUTATIONS, float(np.mean(found)), float(np.std(found)))


def _similarity(problem: Problem, fixed: LevelImage, warped: LevelImage) -> float:
    """Similarity of two images on one grid, as measured at the finest level."""
    options = problem.options.replace(levels=(1.0,))
    there = Problem(fixed, warped, options, problem.kernels, problem.threads)
    return affine_energy(there, np.eye(fixed.grid.dim + 1), deformable=True).similarity


def perturbations(
    problem: Problem, objective: DeformableObjective, nodes: Array, random: np.random.Generator
) -> tuple[Perturbation, ...]:
    r"""Change of the energy when random smooth fields are added to u; draws that fold are excluded.

    Parameters
    ----------
    problem : Problem
    objective : DeformableObjective
    nodes : (d, \*m) array
        u, without folds.
    random : numpy Generator
    """
    level = objective.evaluate(state_of(objective, nodes)).energy.total
    voxel = float(problem.fixed.grid.spacing.min())
    length = CORRELATION * float(np.exp(np.mean(np.log(problem.fixed.grid.extent))))
    found = []
    for size in SIZES:
        rises = []
        for _ in range(FIELDS):
            field = nodes + size * voxel * random_field(objective, length, random)
            energy = objective.evaluate(state_of(objective, field)).energy.total
            if np.isfinite(energy):  # it is infinite for folded fields
                rises.append(energy - level)
        mean = float(np.mean(rises)) if rises else None
        rising = float(np.mean(np.array(rises) > 0)) if rises else None
        found.append(Perturbation(size, FIELDS, FIELDS - len(rises), mean, rising))
    return tuple(found)


def random_field(
    objective: DeformableObjective, length: float, random: np.random.Generator
) -> Array:
    r"""A random field at the nodes, (d, \*m), of correlation length `length` and mean square 1."""
    smoothness = objective.smoothness
    symbol = laplacian_symbol(smoothness.shape, objective.node_spacing, smoothness.constraint)
    coefficients = random.normal(size=(objective.dimension, *smoothness.shape))
    coefficients *= np.exp(-0.25 * length**2 * symbol) * (smoothness.scale > 0)
    field = smoothness.backward(coefficients)
    return np.asarray(field / np.sqrt(np.square(field).sum(0).mean()))
