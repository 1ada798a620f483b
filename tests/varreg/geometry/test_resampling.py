"""Labels between voxels: the rule is linear shares and the largest wins."""

import numpy as np
import pytest
from scipy import ndimage

from varreg.geometry.grid import Grid
from varreg.geometry.label_resampling import resampled_labels
from varreg.transforms.transform import Transform


def one_hot(labels, points):
    """The rule spelt out: warp the indicator of every label, take the largest, ties to the lower."""
    present = np.unique(labels)
    shares = [
        ndimage.map_coordinates((labels == label).astype(float), points, order=1, mode="nearest")
        for label in present
    ]
    return present[np.argmax(shares, axis=0)]


@pytest.mark.parametrize("shape", [(20, 17), (9, 11, 8)])
def test_labels_are_the_arg_max_of_linear_indicators(shape):
    rng = np.random.default_rng(0)
    labels = rng.integers(-3, 4, shape).astype(np.int16)
    # Multiples of 1/8 make sums exact, so that ties are ties in both computations.
    limit = np.reshape(shape, (-1, *(1,) * len(shape))) - 1
    points = np.minimum(rng.integers(0, 8 * max(shape), (len(shape), *shape)) / 8, limit)
    points = points.astype(np.float32)
    found = resampled_labels(labels, shape, lambda slab: points[:, slab].copy(), "linear")
    np.testing.assert_array_equal(found, one_hot(labels, points))
    assert found.dtype == labels.dtype


def test_a_tie_goes_to_the_lower_label():
    labels = np.array([[5, 2], [5, 2]])
    points = np.full((2, 2, 2), 0.5, np.float32)
    found = resampled_labels(labels, (2, 2), lambda slab: points[:, slab].copy(), "linear")
    np.testing.assert_array_equal(found, 2)


@pytest.mark.parametrize("rule", ["linear", "nearest"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32])
def test_types_are_kept_and_large_labels_survive(rule, dtype):
    grid = Grid.with_spacing((12, 12))
    labels = np.zeros(grid.shape, dtype)
    labels[3:8, 4:9] = 614454277 if dtype is np.int64 else 1
    shift = np.array([[1.0, 0, 2], [0, 1, -1], [0, 0, 1]])
    found = Transform(grid, grid, shift).warp_labels(labels, rule)
    np.testing.assert_array_equal(found, np.roll(labels, (-2, 1), axis=(0, 1)))
    assert found.dtype == (np.int32 if dtype is np.float32 else dtype)


def test_labels_beyond_the_field_of_view_are_zero_and_constant_maps_are_welcome():
    grid = Grid.with_spacing((6, 6))
    found = Transform(grid, grid, np.array([[1.0, 0, 3], [0, 1, 0], [0, 0, 1]])).warp_labels(
        np.full((6, 6), 4)
    )
    np.testing.assert_array_equal(found[:3], 4)
    np.testing.assert_array_equal(found[3:], 0)
