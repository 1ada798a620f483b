"""A map as a start: what becomes of it on the displacement grid."""

import numpy as np
import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.geometry.displacement import evaluate, expand
from varreg.geometry.folded_cells import cell_bounds, nearly_folded_cells
from varreg.geometry.folding import smallest_determinant
from varreg.geometry.grid import Grid
from varreg.geometry.projection import interpolation, project
from varreg.images.image import Image
from varreg.initial.affine_part import affine_and_rest
from varreg.initial.input_transform import input_transform
from varreg.initial.smoothing_spline import _spline, smoothing_spline_fit
from varreg.initial.warm_start import on_displacement_grid, unfolded_start
from varreg.options.options import Options
from varreg.stages.deformable import deformable_objective, state_of

from ..problems import oblique_grid, pair, random_affine, smooth_image
from .starts import both_dimensions, folded_field, problem_of, smooth_field

both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])


@both_dimensions
def test_a_displacement_is_split_without_loss(dimension):
    rng = np.random.default_rng(0)
    shape, spacing = ((13, 18), (2.0, 1.5)) if dimension == 2 else ((9, 8, 7), (2.0, 1.5, 1.0))
    grid = oblique_grid(Grid.with_spacing(shape, spacing), rng)
    displacement = smooth_field(shape, rng, 4.0)
    affine, u = affine_and_rest(displacement, grid)
    transform = varreg.Transform(grid, grid, affine, u)
    np.testing.assert_allclose(transform.displacement, displacement, atol=1e-5)
    np.testing.assert_allclose(u.mean(axis=tuple(range(1, dimension + 1))), 0, atol=1e-12)


@both_dimensions
def test_a_displacement_that_is_affine_leaves_nothing_over(dimension):
    rng = np.random.default_rng(3)
    grid = Grid.with_spacing((11, 12, 9)[:dimension], 1.5)
    matrix = random_affine(dimension, rng, 0.1)
    displacement = varreg.Transform(grid, grid, matrix).displacement.astype(float)
    affine, u = affine_and_rest(displacement, grid)
    np.testing.assert_allclose(affine, matrix, atol=1e-5)
    assert np.abs(u).max() < 1e-5


@both_dimensions
def test_a_transform_of_another_grid_stays_the_same_map_of_the_world(dimension):
    rng = np.random.default_rng(4)
    shape, other = (24, 28, 20)[:dimension], (31, 25, 27)[:dimension]
    fixed, _, = pair(shape, (1.0,) * dimension, 0)  # fmt: skip
    target = fixed.grid
    source = oblique_grid(target.resized(other), rng)
    transform = varreg.Transform(
        source, source, random_affine(dimension, rng), smooth_field(other, rng)
    )
    image = Image(smooth_image(shape, rng).astype(np.float32), target)
    placed = input_transform(transform, image, image, argument="start", function="test").transform
    middle = target.voxel_to_world(
        (np.array(shape)[:, None] - 1) * rng.uniform(0.35, 0.65, (dimension, 40))
    )
    np.testing.assert_allclose(placed.points(middle.T), transform.points(middle.T), atol=0.05)


@both_dimensions
def test_where_a_voxel_field_keeps_its_affine_part_makes_no_difference(dimension):
    rng = np.random.default_rng(16)
    shape = (15, 18, 12)[:dimension]
    grid = oblique_grid(Grid.with_spacing(shape, (2.0, 1.5, 1.0)[:dimension]), rng)
    image = Image(smooth_image(shape, rng).astype(np.float32), grid)
    matrix, u = random_affine(dimension, rng, 0.2), smooth_field(shape, rng)
    first = varreg.Transform(grid, grid, matrix, u)
    away = np.tensordot(grid.direction.T, first.points(
        grid.voxel_to_world(grid.coordinates()).reshape(dimension, -1).T
    ).T.reshape(dimension, *shape) - grid.voxel_to_world(grid.coordinates()), 1)  # fmt: skip
    second = varreg.Transform(grid, grid, np.eye(dimension + 1), away)
    one, two = (
        input_transform(t, image, image, argument="start", function="test").transform
        for t in (first, second)
    )
    np.testing.assert_allclose(one.affine, two.affine, atol=1e-6)
    np.testing.assert_allclose(one.nodes, two.nodes, atol=1e-5)
    np.testing.assert_allclose(one.displacement, first.displacement, atol=1e-4)
    assert np.abs(one.affine - matrix).max() > 0.01


@both_constraints
@pytest.mark.parametrize(("voxels", "nodes"), [((31, 24), (9, 24)), ((12, 13, 14), (5, 6, 7))])
def test_what_the_grid_can_hold_is_kept_exactly(voxels, nodes, constraint):
    field = np.random.default_rng(5).normal(size=(len(voxels), *nodes))
    there = expand(field, voxels, constraint)
    back = project(there, "zero-mean", voxels, nodes, constraint)
    np.testing.assert_allclose(back, field, atol=1e-5)


@both_constraints
def test_the_projection_leaves_a_rest_orthogonal_to_the_grid(constraint):
    voxels, nodes = (31, 24), (9, 8)
    field = np.random.default_rng(6).normal(size=(2, *voxels))
    fewer = project(field, "zero-mean", voxels, nodes, constraint)
    rest = field - expand(fewer, voxels, constraint)
    first, second = (interpolation(n, m, constraint) for n, m in zip(voxels, nodes, strict=True))
    assert np.abs(first.T @ rest @ second).max() < 1e-5
    assert np.abs(rest).max() > 1


@both_dimensions
def test_a_mean_goes_into_the_affine_part_and_the_map_stays(pairs, dimension):
    rng = np.random.default_rng(7)
    problem = problem_of(pairs[dimension])
    grid, nodes = problem.fixed.grid, deformable_objective(problem, 1, np.eye(dimension + 1))
    field = smooth_field(nodes.smoothness.shape, rng) + 1.5
    before = varreg.Transform(grid, grid, random_affine(dimension, rng), field)
    affine, u = on_displacement_grid(problem, before)
    after = varreg.Transform(grid, grid, affine, u)
    points = rng.uniform(0, 20, (50, dimension))
    np.testing.assert_allclose(after.points(points), before.points(points), atol=1e-6)
    np.testing.assert_allclose(u.mean(axis=tuple(range(1, dimension + 1))), 0, atol=1e-12)
    assert np.abs(affine - before.affine).max() > 1


@both_constraints
@pytest.mark.parametrize("shape", [(9, 12), (40, 131), (7, 8, 9)])
def test_tight_cells_are_all_cells_below_and_the_worst_is_the_bound(shape, constraint):
    rng = np.random.default_rng(8)
    field, spacing = rng.normal(size=(len(shape), *shape)) * 0.4, rng.uniform(0.8, 1.5, len(shape))
    places, bounds, cells = nearly_folded_cells(field, spacing, constraint, 0.3, cpu, 1)
    whole = smallest_determinant(field, spacing, constraint, cpu, 1)[0]
    assert (bounds <= 0.3).all() and (np.diff(bounds) >= 0).all()
    if constraint == "zero-mean":
        assert cells == np.prod(np.array(shape) + 1)
        edged = np.pad(field, [(0, 0)] + [(1, 1)] * len(shape), mode="edge")
        assert len(bounds) == (cell_bounds(edged, spacing) <= 0.3).sum()
        assert bounds[0] == pytest.approx(whole, abs=1e-9)
    else:  # half cells: the same in 2D, where the bound is exact, and no looser in 3D
        assert cells == np.prod(2 * np.array(shape))
        assert bounds[0] >= whole - 1e-9
        assert len(shape) == 3 or bounds[0] == pytest.approx(whole, abs=1e-9)
    # the determinant there is what is said of it
    step, at = 1e-4, places[0]
    voxels = tuple(shape)
    columns = []
    for axis in range(len(shape)):
        offset = step * np.eye(len(shape))[:, axis : axis + 1]
        high, low = (evaluate(field, voxels, at[:, None] + s * offset, constraint) for s in (1, -1))
        columns.append((high - low)[:, 0] / (2 * step * spacing[axis]))
    assert np.linalg.det(np.array(columns).T + np.eye(len(shape))) >= bounds[0] - 1e-3


@both_dimensions
@both_constraints
def test_a_start_that_folds_is_damped_until_it_does_not(pairs, dimension, constraint):
    options = Options(levels=(2, 1), constraint=constraint, smoothness_length=2.5)
    problem, identity = problem_of(pairs[dimension], options), np.eye(dimension + 1)
    objective = deformable_objective(problem, 1, identity)
    rng = np.random.default_rng(9)
    rough = 40 * rng.normal(size=(dimension, *objective.smoothness.shape))
    for field in (folded_field(objective.smoothness.shape, rng), rough):
        _, damped, report = unfolded_start(problem, identity, field)
        assert report.before == objective.bound(field) < 0
        assert report.after == objective.bound(damped) >= options.smallest_determinant
        assert 0 < report.mean < report.largest
        assert np.abs(damped).max() > 0
    smooth = smooth_field(objective.smoothness.shape, rng, 0.5)
    _, same, report = unfolded_start(problem, identity, smooth)
    assert same is smooth and report is None


@both_dimensions
def test_the_smoothing_spline_solves_its_equations(pairs, dimension, monkeypatch):
    monkeypatch.setattr("varreg.initial.smoothing_spline.STEPS", 2000)
    monkeypatch.setattr("varreg.initial.smoothing_spline.ENOUGH", 1e-20)
    objective = deformable_objective(problem_of(pairs[dimension]), 1, np.eye(dimension + 1))
    smoothness, rng = objective.smoothness, np.random.default_rng(12)
    field, weights = smooth_field(smoothness.shape, rng), rng.uniform(0, 1e-3, smoothness.shape)
    z = _spline(objective, np.zeros_like(field), field, weights)
    gradient = z + smoothness.pull_gradient(weights * (smoothness.to_field(z) - field))
    assert np.abs(gradient).max() < 1e-7 * np.abs(z).max()


@both_dimensions
def test_the_smoothing_spline_fit_never_raises_the_energy_and_never_folds(pairs, dimension):
    problem = problem_of(pairs[dimension])
    objective = deformable_objective(problem, 1, np.eye(dimension + 1))
    rng = np.random.default_rng(13)
    rough = 0.2 * rng.normal(size=(dimension, *objective.smoothness.shape))
    before = objective.evaluate(state_of(objective, rough)).energy.total
    fit = smoothing_spline_fit(problem, objective, rough)
    after = objective.evaluate(state_of(objective, fit))
    assert after.energy.total < before
    assert after.smallest_determinant >= 0.05
