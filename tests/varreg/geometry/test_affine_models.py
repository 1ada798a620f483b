"""The nearest map of a model: it is in the model, and no other one of the model is nearer."""

import numpy as np
import pytest

from varreg.energy.lie_algebra import exponential, orthonormal_generators
from varreg.geometry.affine_models import nearest_of_model
from varreg.geometry.grid import Grid
from varreg.options.names import AFFINE_MODELS

from ..problems import oblique_grid

both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
every_model = pytest.mark.parametrize("model", AFFINE_MODELS)
GRIDS = {2: ((20, 31), (2.5, 0.7)), 3: ((9, 24, 14), (4.0, 0.8, 1.5))}


def grid_of(dimension, rng):
    """Anisotropic, oblique, far from the origin of the world."""
    grid = oblique_grid(Grid.with_spacing(*GRIDS[dimension]), rng)
    away = np.eye(dimension + 1)
    away[:-1, -1] = rng.uniform(-200, 200, dimension)
    return Grid(grid.shape, away @ grid.affine)


def far_map(dimension, rng):
    """A turn by any angle, with shears, scales and a shift."""
    matrix = np.eye(dimension + 1)
    turn = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    matrix[:-1, :-1] = turn @ (np.eye(dimension) + rng.uniform(-0.3, 0.3, (dimension, dimension)))
    matrix[:-1, -1] = rng.uniform(-30, 30, dimension)
    return matrix


def mean_square(difference, grid):
    """Of the distance between two maps over the field of view, by its second moments."""
    d = grid.dim
    moments = grid.direction @ np.diag(grid.extent**2 / 12) @ grid.direction.T
    linear = difference[:d, :d]
    shift = linear @ grid.centre + difference[:d, d]
    return float(np.trace(linear @ moments @ linear.T) + shift @ shift)


def is_of_model(matrix, model):
    linear = matrix[:-1, :-1]
    scale = np.sqrt(np.trace(linear.T @ linear) / len(linear))
    if model == "translation":
        return np.allclose(linear, np.eye(len(linear)), atol=1e-12)
    turned = np.allclose(linear.T @ linear, scale**2 * np.eye(len(linear)), atol=1e-12)
    right = turned and np.linalg.det(linear) > 0
    return model == "affine" or right and (model == "similarity" or abs(scale - 1) < 1e-12)


@both_dimensions
@every_model
@pytest.mark.parametrize("seed", range(4))
def test_no_other_map_of_the_model_is_nearer(dimension, model, seed):
    rng = np.random.default_rng(seed)
    grid, matrix = grid_of(dimension, rng), far_map(dimension, rng)
    nearest = nearest_of_model(matrix, model, grid)
    assert is_of_model(nearest, model)
    least = mean_square(nearest - matrix, grid)
    generators = orthonormal_generators(grid, model, 1.0)
    for size in (1e-3, 0.03, 0.5, 5.0):  # mm
        for _ in range(40):
            z = rng.normal(size=len(generators))
            element = np.tensordot(size * z / np.linalg.norm(z), generators, 1)
            other = nearest @ exponential(element)
            assert is_of_model(other, model)
            assert mean_square(other - matrix, grid) > least - 1e-9 * (1 + least)
    if model in ("translation", "rigid"):  # mirrored or turned from afar, nothing is nearer either
        for _ in range(200):
            other = nearest_of_model(far_map(dimension, rng), model, grid)
            other[:-1, -1] = nearest[:-1, -1] + (nearest - other)[:-1, :-1] @ grid.centre
            assert mean_square(other - matrix, grid) >= least - 1e-9 * (1 + least)


@both_dimensions
@every_model
def test_a_map_of_the_model_is_its_own_nearest(dimension, model):
    rng = np.random.default_rng(9)
    grid = grid_of(dimension, rng)
    generators = orthonormal_generators(grid, model, 1.0)
    matrix = exponential(np.tensordot(5 * rng.normal(size=len(generators)), generators, 1))
    np.testing.assert_allclose(nearest_of_model(matrix, model, grid), matrix, atol=1e-9)


@both_dimensions
def test_a_mirrored_map_has_a_nearest_rotation(dimension):
    rng = np.random.default_rng(10)
    grid, matrix = grid_of(dimension, rng), far_map(dimension, rng)
    matrix[:-1, 0] *= -1
    assert np.linalg.det(matrix) < 0
    nearest = nearest_of_model(matrix, "rigid", grid)
    assert is_of_model(nearest, "rigid")
    least = mean_square(nearest - matrix, grid)
    for _ in range(400):
        other = nearest_of_model(far_map(dimension, rng), "rigid", grid)
        other[:-1, -1] = nearest[:-1, -1] + (nearest - other)[:-1, :-1] @ grid.centre
        assert mean_square(other - matrix, grid) >= least
