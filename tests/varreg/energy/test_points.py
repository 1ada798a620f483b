"""Matching points as a term of the energy: exact gradients, and where conflicting ones meet."""

import numpy as np
import pytest

from varreg.energy.affine import AffineObjective
from varreg.energy.deformable import DeformableObjective
from varreg.energy.points import MatchedPoints, PointTerm
from varreg.geometry.grid import Grid
from varreg.options.options import Options
from varreg.transforms.transform import Transform

from ..problems import central_difference, deformable_problem, oblique_grid, random_affine, state

PROBLEMS = {
    2: dict(shape=(20, 23), spacing=(1.4, 0.8), nodes=(9, 11)),
    3: dict(shape=(9, 11, 10), spacing=(1.4, 1.0, 2.0), nodes=(6, 7, 5)),
}
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])


def points_in(grid, rng, n=7):
    """Points of a grid, the border too, and others near them, with weights of their own."""
    voxels = rng.uniform(-0.5, np.array(grid.shape) - 0.5, (n, grid.dim)).T
    here = grid.voxel_to_world(voxels)
    return MatchedPoints(here, here + rng.normal(size=here.shape), rng.uniform(0.2, 3, n))


def guided(dimension, constraint="zero-mean"):
    """(objective with points, z, rng): oblique grids, masks, a volume term."""
    settings = dict(fixed_mask=True, moving_mask=True, oblique=True, volume_weight=0.5)
    one, z, rng = deformable_problem(**PROBLEMS[dimension], constraint=constraint, **settings)
    points = points_in(one.similarity.fixed_grid, rng)
    options = one.options.replace(points_weight=0.3)
    affine = random_affine(dimension, rng)
    found = DeformableObjective(one.similarity, affine, one.smoothness, options, points=points)
    return found, z, rng, affine


@both_dimensions
@both_constraints
def test_gradient_of_the_energy_against_differences(dimension, constraint):
    objective, z, rng, _ = guided(dimension, constraint)
    gradient = objective.evaluate(state(objective, z)).gradient()
    for _ in range(2):
        direction = rng.normal(size=z.shape) * (objective.smoothness.scale > 0)
        direction *= 3e-6 / objective.largest_step(direction)
        numeric = central_difference(
            lambda at: objective.evaluate(state(objective, at)).energy.total, z, direction, 1.0
        )
        assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-6)


@both_dimensions
@both_constraints
def test_the_term_alone_has_the_gradient_of_differences(dimension, constraint):
    objective, z, rng, _ = guided(dimension, constraint)
    field, term = objective.smoothness.to_field(z), objective.points
    gradient = term.gradient(field)
    direction = rng.normal(size=field.shape)
    numeric = central_difference(term.value, field, direction, 1e-3)
    assert float((gradient * direction).sum()) == pytest.approx(numeric, rel=1e-8)


@both_dimensions
@both_constraints
def test_points_go_where_the_transform_takes_them(dimension, constraint):
    objective, z, _, affine = guided(dimension, constraint)
    field, grid = objective.smoothness.to_field(z), objective.similarity.fixed_grid
    transform = Transform(grid, objective.similarity.moving_grid, affine, field, constraint)
    points = objective.points.points
    np.testing.assert_allclose(
        objective.points.mapped(field).T, transform.points(points.fixed.T), atol=1e-6
    )
    distances = np.linalg.norm(transform.points(points.fixed.T).T - points.moving, axis=0)
    expected = np.average(np.square(distances), weights=points.weights)
    assert objective.points.value(field) == pytest.approx(expected, rel=1e-6)


@both_dimensions
def test_the_affine_stage_has_the_gradient_of_differences(dimension):
    one, _, rng = deformable_problem(**PROBLEMS[dimension], oblique=True)
    points = points_in(one.similarity.fixed_grid, rng)
    objective = AffineObjective(one.similarity, "affine", points=points, points_weight=0.3)
    matrix = random_affine(dimension, rng)
    gradient = objective.evaluate(matrix).gradient()
    direction = rng.normal(size=gradient.shape)
    direction *= 3e-6 / objective.largest_step(direction)

    def energy(t):
        return objective.evaluate(objective.move(matrix, direction, t).state).energy.total

    assert float(gradient @ direction) == pytest.approx(
        central_difference(energy, 0.0, 1.0, 1.0), rel=1e-6
    )


@both_dimensions
def test_a_rigid_map_of_exact_points_is_found_from_them_alone(dimension):
    rng = np.random.default_rng(0)
    grid = oblique_grid(Grid.with_spacing((12,) * dimension), rng)
    turn = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    turn[:, 0] *= np.sign(np.linalg.det(turn))
    here = points_in(grid, rng, 5).fixed
    there = turn @ here + rng.normal(size=(dimension, 1))
    matrix = MatchedPoints(here, there, rng.uniform(1, 2, 5)).rigid()
    np.testing.assert_allclose(matrix[:-1, :-1], turn, atol=1e-9)
    one = MatchedPoints(here[:, :1], there[:, :1], np.ones(1)).rigid()
    np.testing.assert_allclose(one[:-1, :-1], np.eye(dimension))
    np.testing.assert_allclose(one[:-1, -1], (there - here)[:, 0], atol=1e-9)


def test_all_points_one_millimetre_off_cost_the_weight_whatever_their_number():
    grid = Grid.with_spacing((8, 8), 0.5)
    for n in (1, 9):
        here = grid.voxel_to_world(np.random.default_rng(n).uniform(0, 7, (2, n)))
        points = MatchedPoints(here, here + [[0.6], [0.8]], np.full(n, 3.0))
        term = PointTerm(points, grid, np.eye(3), (4, 4), Options().constraint)
        assert term.value(np.zeros((2, 4, 4))) == pytest.approx(1.0)
        assert points.affine_value(np.eye(3)) == pytest.approx(1.0)
