"""Small smooth registration problems in float64, for derivative checks."""

from __future__ import annotations

import numpy as np

from varreg.backends.numba import backend as cpu
from varreg.energy.deformable import DeformableObjective
from varreg.energy.smoothness import Smoothness
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.mutual_information import MutualInformation
from varreg.stages.pyramid import smoothness_weight


def smooth_image(shape, rng, cycles=2.0):
    """A random smooth image in [0, 1], float64."""
    x = np.stack(np.meshgrid(*[np.linspace(0, 1, n) for n in shape], indexing="ij"))
    image = np.zeros(shape)
    for _ in range(6):
        wave = rng.uniform(-cycles, cycles, len(shape)) * 2 * np.pi
        image += rng.normal() * np.cos(np.tensordot(wave, x, 1) + rng.uniform(0, 2 * np.pi))
    return (image - image.min()) / np.ptp(image)


def random_affine(dimension, rng, size=0.03):
    matrix = np.eye(dimension + 1)
    matrix[:-1, :-1] += rng.uniform(-size, size, (dimension, dimension))
    matrix[:-1, -1] = rng.uniform(-0.4, 0.4, dimension)
    return matrix


def oblique_grid(grid, rng):
    """The grid turned and mirrored at random about its centre."""
    d = grid.dim
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    matrix = np.eye(d + 1)
    matrix[:-1, :-1] = turn
    matrix[:-1, -1] = grid.centre - turn @ grid.centre
    return Grid(grid.shape, matrix @ grid.affine)


def pair(
    shape, spacing, seed=0, fixed_mask=False, moving_mask=False, moving_shape=None, oblique=False
):  # fmt: skip
    """Two unrelated smooth images on grids of their own, with optional masks, or "weights"."""
    rng = np.random.default_rng(seed)
    moving_shape = moving_shape or shape
    moving_spacing = np.array(spacing) * np.array(shape) / np.array(moving_shape)
    masks = []
    for wanted, size in ((fixed_mask, shape), (moving_mask, moving_shape)):
        weights = smooth_image(size, rng, 0.7)
        mask = weights > 0.3
        if wanted == "weights":  # as exact in float32 as in float64
            mask = np.clip(1.6 * weights - 0.3, 0, 1).astype(np.float32).astype(np.float64)
        masks.append(mask if wanted else None)
    here = Grid.with_spacing(shape, spacing)
    grid = Grid.with_spacing(moving_shape, moving_spacing)
    if oblique:
        here, grid = oblique_grid(here, rng), oblique_grid(grid, rng)
    fixed = LevelImage(smooth_image(shape, rng), masks[0], here, fixed_mask == "weights")
    share = None if masks[1] is None else masks[1].astype(float)
    moving = LevelImage(smooth_image(moving_shape, rng), share, grid, moving_mask == "weights")
    return fixed, moving


def deformable_problem(
    shape=(20, 23), spacing=(1.0, 1.0), nodes=None, seed=0, kernels=cpu, threads=1,
    fixed_mask=False, moving_mask=False, moving_shape=None, oblique=False, length=4.0,
    regional=False, order=3, stride=1, **options,
):  # fmt: skip
    """(objective, z, rng): a deformable objective in float64 and a random state in its domain."""
    similarity = "regional-mi" if regional else "mi"
    options = Options(
        smoothness_length=length, smoothness_order=order, similarity=similarity, **options
    )
    fixed, moving = pair(shape, spacing, seed, fixed_mask, moving_mask, moving_shape, oblique)
    level = MutualInformation(
        fixed, moving, options, kernels, threads, np.float64, regional, stride
    )
    nodes = nodes or shape
    smoothness = Smoothness(
        nodes, fixed.grid.extent / np.array(nodes), smoothness_weight(options, fixed.grid.dim), length,
        options.constraint, order=order,
    )  # fmt: skip
    rng = np.random.default_rng(seed + 1)
    objective = DeformableObjective(level, random_affine(len(shape), rng), smoothness, options)
    field = np.stack([smooth_image(nodes, rng) - 0.5 for _ in shape]) * 2 * max(spacing)
    while objective.bound(field) < 0.2:
        field *= 0.7
    return objective, smoothness.to_coordinates(field), rng


def state(objective, z):
    return z, objective.smoothness.to_field(z)


def central_difference(function, z, direction, step):
    """Fourth-order central difference of function along direction."""
    near = function(z + step * direction) - function(z - step * direction)
    far = function(z + 2 * step * direction) - function(z - 2 * step * direction)
    return (8 * near - far) / (12 * step)
