"""Without their mean, maps have the identity as their mean; where the template lies does not depend on the person to begin with."""

import numpy as np
import pytest

from varreg.errors import GeometryError
from varreg.geometry.grid import Grid
from varreg.template.mean_map import mean_map, without_mean
from varreg.template.space import template_grid
from varreg.transforms.transform import Transform

from .test_barycentre import random_maps, turn


def random_transforms(count, shape=(24, 20), nodes=(12, 10), seed=0, bias=0.0):
    """Maps that bend by some voxels, all of them in one direction by `bias`."""
    random = np.random.default_rng(seed)
    grid = Grid.with_spacing(shape, (1.0, 1.5))
    x = np.indices(nodes) / np.array(nodes)[:, None, None]
    common = bias * np.sin(2 * np.pi * x[::-1])
    found = []
    for affine in random_maps(count, 2, seed, size=0.05):
        wave = random.normal(size=(2, 2)) @ np.cos(np.pi * x + random.normal()).reshape(2, -1)
        u = common + wave.reshape(2, *nodes)
        u -= u.mean(axis=(1, 2), keepdims=True)
        found.append(Transform(grid, grid, affine, u))
    return found


def test_the_mean_of_the_maps_without_it_is_the_identity():
    maps = random_transforms(4, bias=2.0)
    mean = mean_map(maps)
    assert np.abs(mean.nodes).max() > 1
    left = mean_map(without_mean(maps, mean))
    np.testing.assert_allclose(left.affine, np.eye(3), atol=1e-9)
    assert np.abs(left.nodes).max() < 1e-3


def test_maps_without_their_mean_lead_from_where_it_leads():
    maps = random_transforms(3, bias=1.0)
    mean = mean_map(maps)
    points = mean.fixed.voxel_to_world(np.indices((12, 10)).reshape(2, -1) * 2.0 + 0.5).T
    inside = points[(points > 3).all(axis=1) & (points < [20, 25]).all(axis=1)]
    for before, after in zip(maps, without_mean(maps, mean), strict=True):
        wanted = before.points(mean.inverse().points(inside))
        assert np.linalg.norm(after.points(inside) - wanted, axis=1).max() < 0.1


def test_known_pairs_of_opposite_maps_leave_the_template_where_it_is():
    one = random_transforms(1, seed=3)[0]
    other = Transform(one.fixed, one.moving, np.linalg.inv(one.affine), -one.nodes)
    mean = mean_map([one, other])
    np.testing.assert_allclose(mean.affine, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(mean.nodes, 0, atol=1e-15)


def test_a_mean_that_folds_is_refused():
    one = random_transforms(1)[0]
    folded = Transform(one.fixed, one.moving, np.eye(3), 40 * one.nodes)
    with pytest.raises(GeometryError, match="folds and has no inverse"):
        without_mean([folded], mean_map([folded]))


def test_the_grid_does_not_depend_on_who_comes_first():
    grids = [
        Grid((20, 30), turn(5 * k) @ np.diag([1.0 + 0.2 * k, 1.0, 1.0]) @ np.array([[1.0, 0, 7 * k], [0, 1, 3], [0, 0, 1]]))
        for k in range(3)
    ]  # fmt: skip
    maps = random_maps(3, 2, size=0.02)
    found = [
        template_grid([grids[k] for k in order], [maps[k] for k in order])
        for order in ((0, 1, 2), (2, 0, 1))
    ]
    assert found[0].same_space(found[1], 1e-6)


def test_axes_of_another_order_and_direction_are_matched():
    plain = Grid((20, 30), np.eye(3))
    turned = Grid((30, 20), np.array([[0.0, -1, 19], [1, 0, 0], [0, 0, 1]]))
    found = template_grid([plain, turned], [np.eye(3)] * 2)
    assert found.shape == (20, 30)
    np.testing.assert_allclose(found.affine, np.eye(3), atol=1e-12)
