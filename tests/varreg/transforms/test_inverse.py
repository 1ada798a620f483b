"""The map back: measured residual, round trips, and what the parent paper's formula does."""

import numpy as np
import pytest
from scipy import ndimage

from varreg.errors import GeometryError
from varreg.geometry.displacement import evaluate
from varreg.geometry.grid import Grid
from varreg.transforms.transform import Transform


def smooth_field(shape, width, largest, seed=0):
    """A smooth random field (mm) at every voxel."""
    rng = np.random.default_rng(seed)
    field = [ndimage.gaussian_filter(rng.standard_normal(shape), width) for _ in range(len(shape))]
    return np.stack(field) * (largest / np.abs(field).max())


def oblique():
    """An affine and a deformation between two different grids."""
    angle = np.deg2rad(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    fixed_affine, moving_affine, affine = np.eye(3), np.diag([1.3, 1.1, 1.0]), np.eye(3)
    fixed_affine[:2, :2] = turn @ np.diag([1.0, 2.0])
    affine[:2, :2], affine[:2, 2] = turn.T @ np.diag([1.1, 0.95]), [4.0, -3.0]
    fixed, moving = Grid((48, 30), fixed_affine), Grid((40, 50), moving_affine)
    return Transform(fixed, moving, affine, smooth_field((12, 10), 2.0, 4.0))


def test_inverse_of_points_is_the_point():
    transform = oblique()
    inverse = transform.inverse(tolerance=1e-5)
    points = np.random.default_rng(1).uniform(0, 25, (50, 2))
    for space in ("world", "voxel"):
        back = inverse.points(transform.points(points, space), space)
        np.testing.assert_allclose(back, points, atol=1e-4)
        there = transform.points(inverse.points(points, space), space)
        np.testing.assert_allclose(there, points, atol=1e-4)


def test_residual_is_what_it_says_and_small():
    transform = oblique()
    inverse = transform.inverse()
    assert inverse.converged
    assert inverse.mean_residual <= inverse.residual <= 1e-4
    moving = transform.moving
    landed = moving.coordinates() + inverse.displacement
    world = moving.voxel_to_world(landed)  # of the fixed points, whose world is the same mm
    rows = world.reshape(2, -1).T
    back = moving.world_to_voxel(transform.points(rows).T).reshape(landed.shape)
    assert np.abs(back - moving.coordinates()).max() < 1e-3


def test_displacements_of_a_shift_are_opposite():
    grid = Grid.with_spacing((10, 12, 8), (1.0, 2.0, 1.5))
    shift = np.eye(4)
    shift[:3, 3] = [3.0, -4.0, 1.5]
    transform = Transform(grid, grid, shift)
    np.testing.assert_allclose(transform.inverse().displacement, -transform.displacement, atol=1e-6)
    assert transform.inverse().residual == 0


def test_an_image_comes_back():
    grid = Grid.with_spacing((64, 64))
    x, y = np.indices(grid.shape)
    image = np.exp(-((x - 30) ** 2 + (y - 33) ** 2) / 80).astype(np.float32)
    transform = Transform(grid, grid, np.eye(3), smooth_field(grid.shape, 8.0, 4.0))
    back = transform.inverse().warp(transform.warp(image, "cubic"), "cubic")
    assert np.abs(back - image).max() < 0.01
    labels = (image > 0.5).astype(np.uint8)
    again = transform.inverse().warp_labels(transform.warp_labels(labels))
    assert again.dtype == np.uint8
    assert np.mean(again != labels) < 0.01


def test_the_papers_inverse_is_twice_as_wrong_as_the_negative_field():
    shape = (96, 96)
    grid = Grid.with_spacing(shape)
    u = smooth_field(shape, 14.0, 3.0)
    transform = Transform(grid, grid, np.eye(3), u)
    points = np.indices(shape, dtype=float)
    negative = -u + evaluate(u, shape, points - u, "zero-mean")
    paper = transform.inverse(method="paper")
    inner = (slice(None), slice(10, -10), slice(10, -10))
    error = paper.v + evaluate(u, shape, points + paper.v, "zero-mean")
    ratio = np.sqrt(np.mean(error[inner] ** 2) / np.mean(negative[inner] ** 2))
    assert ratio == pytest.approx(2.0, rel=0.1)
    assert not paper.converged
    assert paper.residual == pytest.approx(np.linalg.norm(error, axis=0).max(), rel=1e-3)


def test_strong_expansion_is_inverted_where_plain_steps_would_diverge():
    """|grad u| = 2 along the first axis: x + u is invertible, v <- -u(w + v) does not contract."""
    grid = Grid.with_spacing((64, 16))
    x = np.indices(grid.shape)[0]
    u = np.stack([16 * np.tanh((x - 31.5) / 8), np.zeros(grid.shape)])
    inverse = Transform(grid, grid, np.eye(3), u).inverse(iterations=300)
    assert inverse.converged


def test_a_fold_is_reported_and_not_hidden():
    grid = Grid.with_spacing((32, 32))
    x = np.indices(grid.shape)[0]
    u = np.stack([-12 * np.sin(x / 2.0), np.zeros(grid.shape)])
    transform = Transform(grid, grid, np.eye(3), u)
    inverse = transform.inverse(iterations=3)
    assert not inverse.converged
    assert "NOT within the tolerance" in str(inverse)
    assert "MOVING to FIXED" in str(inverse)


def test_points_that_do_not_converge_raise(monkeypatch):
    monkeypatch.setattr("varreg.transforms.inverse._POINT_ITERATIONS", 1)
    with pytest.raises(GeometryError, match="1 of 1 `points`"):
        oblique().inverse().points([[12.0, 12.0]])
