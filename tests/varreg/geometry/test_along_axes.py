"""Interpolation along parallel axes, beside that at any coordinates."""

import numpy as np
import pytest

from varreg.geometry import resampling
from varreg.geometry.along_axes import parallel_axes, resize_along_axes


@pytest.mark.parametrize("shape, target", [((7, 5), (9, 20)), ((6, 1, 8), (5, 12, 4))])
def test_it_is_linear_interpolation_with_constant_ends(shape, target):
    d, random = len(shape), np.random.default_rng(0)
    matrix = np.eye(d + 1)
    order = np.roll(np.arange(d), 1)
    matrix[:d, :d] = np.eye(d)[order] * random.uniform(-1, 1, (d, 1))
    matrix[:d, d] = random.uniform(0, shape)
    data = random.random(shape, np.float32)

    def coordinates(slab):
        points = resampling.affine_coordinates(matrix, target, slab)
        resampling.clamp(points, shape)
        return points

    axes = parallel_axes(matrix)
    assert axes == tuple(order)
    expected = resampling.warp(data, target, coordinates, "linear", 0.0)
    np.testing.assert_allclose(
        resize_along_axes(data, matrix, axes, target), expected, atol=1e-6, rtol=0
    )


def test_oblique_grids_have_no_parallel_axes():
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(0.01), -np.sin(0.01)], [np.sin(0.01), np.cos(0.01)]]
    assert parallel_axes(turned) is None
    assert parallel_axes(np.array([[1.0, 0, 0], [1.0, 0, 0], [0, 0, 1]])) is None
