"""The volume term is zero where volumes are kept, the same for halves and doubles, and has its exact gradient."""

import numpy as np
import pytest

from varreg.backends.numba import backend as numba
from varreg.backends.numpy import backend as numpy
from varreg.backends.numpy.volume import _corners, cost, cost_slope
from varreg.backends.volume import SMALLEST
from varreg.energy.volume import VolumeTerm
from varreg.geometry.folding import smallest_determinant

from ..problems import central_difference, smooth_image

SHAPES = {2: (9, 11), 3: (6, 5, 7)}
SPACING = {2: np.array([0.8, 1.7]), 3: np.array([0.8, 1.7, 1.1])}
both_backends = pytest.mark.parametrize("kernels", [numba, numpy], ids=["numba", "numpy"])
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])


both_constraints = pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])


class Cells:
    """The term over the cells between the nodes alone: what a backend computes."""

    def __init__(self, dimension, kernels):
        self.spacing, self.kernels = SPACING[dimension], kernels

    def value(self, field):
        return self.kernels.volume(field, self.spacing, 1)

    def gradient(self, field):
        return self.kernels.volume_gradient(field, self.spacing, 1)


def cells(dimension, kernels=numba):
    return Cells(dimension, kernels)


def term(dimension, constraint="zero-mean", kernels=numba):
    return VolumeTerm(SPACING[dimension], constraint, kernels, 1)


def linear_field(matrix):
    """u of the map x -> matrix x at the nodes, mm."""
    dimension = len(matrix)
    index = np.indices(SHAPES[dimension]).astype(float)
    points = index * SPACING[dimension].reshape(-1, *(1,) * dimension)
    return np.tensordot(matrix - np.eye(dimension), points, 1)


def scaled(dimension, determinant):
    return linear_field(np.eye(dimension) * determinant ** (1 / dimension))


def random_field(dimension, amplitude):
    rng = np.random.default_rng(dimension)
    images = [smooth_image(SHAPES[dimension], rng) - 0.5 for _ in range(dimension)]
    return amplitude * np.stack(images), rng


@both_backends
@both_dimensions
def test_the_identity_and_a_translation_cost_nothing(dimension, kernels):
    volume = term(dimension, kernels=kernels)
    field = np.zeros((dimension, *SHAPES[dimension]))
    assert volume.value(field) == 0
    np.testing.assert_array_equal(volume.gradient(field), 0 * field)
    assert volume.value(field + 3.25) == pytest.approx(0, abs=1e-15)


def volume_preserving(dimension):
    """A shear, a rotation, and a stretch along one axis that another one pays for."""
    shear, turn, stretch = np.eye(dimension), np.eye(dimension), np.eye(dimension)
    shear[0, 1] = 0.7
    turn[:2, :2] = [[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]]
    stretch[0, 0], stretch[1, 1] = 2.0, 0.5
    return shear, turn, stretch, shear @ turn @ stretch


@both_backends
@both_dimensions
def test_maps_that_keep_volumes_cost_nothing(dimension, kernels):
    volume = cells(dimension, kernels)
    for matrix in volume_preserving(dimension):
        field = linear_field(matrix)
        assert volume.value(field) == pytest.approx(0, abs=1e-13)
        np.testing.assert_allclose(volume.gradient(field), 0, atol=1e-12)


@both_backends
@both_dimensions
@pytest.mark.parametrize("determinant", [0.1, 0.5, 0.9, 1.5, 3.0])
def test_a_scaling_costs_what_the_formula_says(dimension, kernels, determinant):
    wanted = (determinant**2 + determinant**-2 - 2) / 8
    assert cells(dimension, kernels).value(scaled(dimension, determinant)) == pytest.approx(wanted)


@both_dimensions
@pytest.mark.parametrize("determinant", [0.2, 0.5, 0.9])
def test_to_halve_costs_as_much_as_to_double(dimension, determinant):
    volume = cells(dimension)
    smaller, larger = (volume.value(scaled(dimension, j)) for j in (determinant, 1 / determinant))
    assert smaller == pytest.approx(larger, rel=1e-9)


def test_the_cost_is_a_convex_function_of_the_determinant():
    """With its slope, and one that has no jump where the parabola begins."""
    determinants = np.linspace(-2, 4, 6001)
    assert (np.diff(cost(determinants), 2) > 0).all()
    assert (np.diff(cost_slope(determinants)) > 0).all()
    around = SMALLEST + np.array([-1e-9, 1e-9])
    assert cost(around)[0] == pytest.approx(cost(around)[1], rel=1e-6)
    assert cost_slope(around)[0] == pytest.approx(cost_slope(around)[1], rel=1e-6)
    step = 1e-6
    numeric = (cost(determinants + step) - cost(determinants - step)) / (2 * step)
    np.testing.assert_allclose(numeric, cost_slope(determinants), rtol=1e-5, atol=1e-8)


def test_small_changes_cost_half_the_square_of_the_logarithm():
    determinants = np.exp(np.array([-0.02, 0.01, 0.03]))
    np.testing.assert_allclose(cost(determinants), np.log(determinants) ** 2 / 2, rtol=1e-3)


@both_backends
@both_dimensions
@both_constraints
@pytest.mark.parametrize("amplitude", [1.0, 12.0], ids=["whole", "folded"])
def test_gradient_against_differences(dimension, constraint, kernels, amplitude):
    """Also where the map folds, and the cost is a parabola."""
    volume = term(dimension, constraint, kernels)
    field, rng = random_field(dimension, amplitude)
    determinants = numpy.determinant_bound(field, volume.spacing, 1)[0]
    assert (determinants < 0) == (amplitude > 1)
    gradient = volume.gradient(field)
    for _ in range(3):
        direction = rng.normal(size=field.shape)
        analytic = float((gradient * direction).sum())
        numeric = central_difference(volume.value, field, direction, 1e-6)
        assert analytic == pytest.approx(numeric, rel=1e-5)


@both_dimensions
def test_gradient_at_every_node_against_differences(dimension):
    """Corners, faces and the interior alike, below the value where the parabola begins."""
    volume = cells(dimension)
    squeezed = scaled(dimension, 0.5 * SMALLEST) + 0.01 * random_field(dimension, 1.0)[0]
    gradient = volume.gradient(squeezed)
    for place in [(0,) * dimension, (1, *(2,) * (dimension - 1)), (-1,) * dimension]:
        direction = np.zeros_like(squeezed)
        direction[(0, *place)] = 1.0
        numeric = central_difference(volume.value, squeezed, direction, 1e-5)
        assert gradient[(0, *place)] == pytest.approx(numeric, rel=1e-6)


@both_dimensions
def test_the_gradient_sums_to_zero_as_a_translation_costs_nothing(dimension):
    field, _ = random_field(dimension, 1.0)
    gradient = term(dimension).gradient(field)
    total = gradient.reshape(dimension, -1).sum(1)
    np.testing.assert_allclose(total, 0, atol=1e-12 * np.abs(gradient).max() * field.size)


@both_dimensions
@both_constraints
def test_it_sees_the_cells_that_the_border_cuts(dimension, constraint):
    """A squeeze between the outermost nodes and the border, and nowhere else, is as dear as its determinant."""
    field = np.zeros((dimension, *SHAPES[dimension]))
    if (
        constraint == "zero-mean"
    ):  # nothing changes across the border: only the other axes can squeeze there
        field[1, 0] += (
            -0.8
            * SPACING[dimension][1]
            * (np.arange(SHAPES[dimension][1]) == 4).reshape(-1, *(1,) * (dimension - 2))
        )
    else:  # from zero on the border to this within half a spacing
        field[0] = -0.4 * SPACING[dimension][0]
    volume = term(dimension, constraint)
    bound, _ = smallest_determinant(field, volume.spacing, constraint, numpy, 1)
    assert bound == pytest.approx(0.2)
    extended = volume.wider(field)
    determinants = [np.linalg.det(e) for _, e in _corners(extended, volume.spacing)]
    assert np.min(determinants) == pytest.approx(0.2)
    assert volume.value(field) == pytest.approx(np.mean(cost(np.array(determinants))))
    assert volume.value(field) > cells(dimension).value(field)
