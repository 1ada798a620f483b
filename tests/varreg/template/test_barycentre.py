"""The mean of affine maps is that of their group."""

import numpy as np
import pytest
from scipy.linalg import expm, logm

from varreg.energy.lie_algebra import exponential
from varreg.errors import GeometryError
from varreg.template.barycentre import logarithm, mean_affine


def random_maps(count, d, seed=0, size=0.3):
    random = np.random.default_rng(seed)
    maps = np.tile(np.eye(d + 1), (count, 1, 1))
    for each in maps:
        each[:d, :d] = expm(size * random.normal(size=(d, d)))
        each[:d, d] = 40 * random.normal(size=d)
    return list(maps)


def turn(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])


@pytest.mark.parametrize("d", [2, 3])
def test_functions_of_matrices_are_those_of_scipy(d):
    for affine in random_maps(20, d, size=0.6):
        log = logarithm(affine)
        np.testing.assert_allclose(log, logm(affine).real, rtol=0, atol=1e-9)
        np.testing.assert_allclose(exponential(log), affine, rtol=0, atol=1e-9)


@pytest.mark.parametrize("d", [2, 3])
def test_the_logarithms_of_the_maps_from_the_mean_add_up_to_nothing(d):
    maps = random_maps(5, d)
    mean = mean_affine(maps)
    left = sum(logarithm(each @ np.linalg.inv(mean)) for each in maps)
    assert np.abs(left).max() < 1e-8


def test_the_mean_is_the_same_from_whatever_world():
    maps, (before, after) = random_maps(4, 3), random_maps(2, 3, seed=1)
    moved = mean_affine([after @ each @ before for each in maps])
    np.testing.assert_allclose(moved, after @ mean_affine(maps) @ before, atol=1e-8)


def test_the_mean_of_turns_is_a_turn_and_shrinks_nothing():
    np.testing.assert_allclose(mean_affine([turn(-60), turn(80)]), turn(10), atol=1e-12)


def test_maps_half_a_turn_apart_have_no_mean():
    with pytest.raises(GeometryError, match="Ann is turned by half a turn"):
        mean_affine([np.eye(3), turn(180)], ["Bob", "Ann"])
