"""The smoothness term is what it is called, and its coordinates make it half a squared norm."""

import numpy as np
import pytest

from varreg.energy.smoothness import Smoothness, laplacian_symbol
from varreg.geometry.displacement import evaluate

CONSTRAINTS = ["zero-mean", "zero-boundary"]
GRIDS = {
    "2d": ((9, 12), (1.0, 1.0)),
    "2d-odd-anisotropic": ((11, 7), (0.6, 2.5)),
    "3d": ((5, 6, 7), (1.0, 1.0, 1.0)),
    "3d-anisotropic": ((7, 5, 4), (1.2, 0.8, 3.0)),
}
every_grid = pytest.mark.parametrize("grid", GRIDS)
every_constraint = pytest.mark.parametrize("constraint", CONSTRAINTS)


every_order = pytest.mark.parametrize("order", [2, 3, 4])


def term(grid, constraint, length=0.0, weight=1.0, order=3):
    shape, spacing = GRIDS[grid]
    return Smoothness(shape, np.array(spacing), weight, length, constraint, order=order)


def allowed(shape, constraint, rng):
    """A random field that satisfies the constraint."""
    field = rng.normal(size=(len(shape), *shape))
    if constraint == "zero-mean":
        field -= field.mean(axis=tuple(range(1, field.ndim)), keepdims=True)
    return field


def minus_laplacian(field, spacing, constraint):
    """Second differences with the border values that the constraint implies."""
    total = np.zeros_like(field)
    for axis, step in enumerate(spacing, start=1):
        width = [(0, 0)] * field.ndim
        width[axis] = (1, 1)
        padded = np.pad(field, width, mode="edge")
        if constraint == "zero-boundary":  # u = 0 half a node beyond: the neighbour is -u
            for end in (0, -1):
                index = [slice(None)] * field.ndim
                index[axis] = end
                padded[tuple(index)] *= -1
        total -= np.diff(padded, 2, axis=axis) / step**2
    return total


@every_grid
def test_without_length_the_value_is_the_mean_of_squared_differences_over_edges(grid):
    shape, spacing = GRIDS[grid]
    field = allowed(shape, "zero-mean", np.random.default_rng(0))
    total = 0.0
    for axis, step in enumerate(spacing, start=1):
        total += np.square(np.diff(field, axis=axis) / step).sum()
    smoothness = term(grid, "zero-mean")
    value = smoothness.value(smoothness.to_coordinates(field))
    assert value == pytest.approx(total / np.prod(shape), rel=1e-12)


@every_grid
def test_zero_boundary_counts_the_fall_to_zero_at_the_border(grid):
    shape, spacing = GRIDS[grid]
    field = allowed(shape, "zero-boundary", np.random.default_rng(0))
    total = 0.0
    for axis, step in enumerate(spacing, start=1):
        total += np.square(np.diff(field, axis=axis) / step).sum()
        for end in (0, -1):  # a slope of u / (step / 2) over half an edge, at either end
            total += 0.5 * np.square(np.take(field, end, axis=axis) / (step / 2)).sum()
    smoothness = term(grid, "zero-boundary")
    value = smoothness.value(smoothness.to_coordinates(field))
    assert value == pytest.approx(total / np.prod(shape), rel=1e-12)


@every_grid
@every_constraint
@every_order
@pytest.mark.parametrize("length", [0.0, 0.7, 5.0])
def test_value_is_the_dirichlet_form(grid, constraint, length, order):
    """<u, (L + l^(2m-2) L^m) u> / n, with L minus the Laplacian applied m times."""
    shape, spacing = GRIDS[grid]
    field = allowed(shape, constraint, np.random.default_rng(1))
    powers = [field]
    for _ in range(order):
        powers.append(minus_laplacian(powers[-1], spacing, constraint))
    wanted = (field * powers[1]).sum() + length ** (2 * order - 2) * (field * powers[order]).sum()
    wanted /= np.prod(shape)
    smoothness = term(grid, constraint, length, order=order)
    assert smoothness.value(smoothness.to_coordinates(field)) == pytest.approx(wanted, rel=1e-12)


@every_grid
@every_constraint
@every_order
@pytest.mark.parametrize("weight", [0.01, 1.0, 30.0])
def test_weighted_value_is_half_a_squared_norm(grid, constraint, order, weight):
    smoothness = term(grid, constraint, 2.0, weight, order)
    z = np.random.default_rng(2).normal(size=(len(smoothness.shape), *smoothness.shape))
    z *= smoothness.scale > 0
    assert weight * smoothness.value(z) == pytest.approx(0.5 * np.square(z).sum(), rel=1e-14)
    # the value belongs to the field, not to the weight
    field = smoothness.to_field(z)
    plain = term(grid, constraint, 2.0, 1.0, order)
    assert plain.value(plain.to_coordinates(field)) == pytest.approx(smoothness.value(z), rel=1e-12)


@every_grid
@every_constraint
@every_order
def test_field_and_coordinates_round_trip(grid, constraint, order):
    smoothness = term(grid, constraint, 1.5, 0.3, order)
    field = allowed(smoothness.shape, constraint, np.random.default_rng(3))
    z = smoothness.to_coordinates(field)
    np.testing.assert_allclose(smoothness.to_field(z), field, atol=1e-13)
    np.testing.assert_allclose(smoothness.to_coordinates(smoothness.to_field(z)), z, atol=1e-12)


@every_grid
def test_the_mean_is_no_coordinate(grid):
    smoothness = term(grid, "zero-mean")
    rng = np.random.default_rng(4)
    z = rng.normal(size=(len(smoothness.shape), *smoothness.shape))  # also where the mean would be
    field = smoothness.to_field(z)
    axes = tuple(range(1, field.ndim))
    np.testing.assert_allclose(field.mean(axis=axes), 0, atol=1e-13)
    shifted = smoothness.to_coordinates(field + 5.0)
    np.testing.assert_allclose(shifted, smoothness.to_coordinates(field), atol=1e-11)
    pulled = smoothness.pull_gradient(np.ones_like(field))
    np.testing.assert_allclose(pulled, 0, atol=1e-12)


@every_grid
def test_zero_boundary_vanishes_at_the_faces(grid):
    smoothness = term(grid, "zero-boundary")
    rng = np.random.default_rng(5)
    field = smoothness.to_field(rng.normal(size=(len(smoothness.shape), *smoothness.shape)))
    assert np.abs(field).max() > 0.1
    for axis, nodes in enumerate(smoothness.shape):
        for face in (-0.5, nodes - 0.5):
            points = rng.uniform(
                -0.5, np.array(smoothness.shape) - 0.5, (50, len(smoothness.shape))
            )
            points[:, axis] = face
            at_face = evaluate(field, smoothness.shape, points.T, "zero-boundary")
            np.testing.assert_allclose(at_face, 0, atol=1e-6 * np.abs(field).max())


@every_grid
@every_constraint
@every_order
def test_pull_gradient_is_the_transpose_of_to_field(grid, constraint, order):
    smoothness = term(grid, constraint, 2.0, 0.7, order)
    rng = np.random.default_rng(6)
    z, force = rng.normal(size=(2, len(smoothness.shape), *smoothness.shape))
    here = (smoothness.to_field(z) * force).sum()
    assert here == pytest.approx((z * smoothness.pull_gradient(force)).sum(), rel=1e-12)


@every_grid
@every_constraint
def test_symbol_holds_the_eigenvalues_of_the_laplacian(grid, constraint):
    shape, spacing = GRIDS[grid]
    symbol = laplacian_symbol(shape, np.array(spacing), constraint)
    smoothness = term(grid, constraint)
    rng = np.random.default_rng(7)
    for _ in range(5):
        place = tuple(rng.integers(0, n) for n in shape)
        if symbol[place] == 0:
            continue
        wave = np.zeros((len(shape), *shape))
        wave[(0, *place)] = 1.0
        wave = smoothness.to_field(wave)
        np.testing.assert_allclose(
            minus_laplacian(wave, spacing, constraint), symbol[place] * wave, atol=1e-10
        )
    assert (symbol > 0).sum() == symbol.size - (constraint == "zero-mean")


def waves(shape, extent, constraint, order):
    """The analytic wave of given orders at the nodes of a grid over `extent` mm."""
    wave = np.cos if constraint == "zero-mean" else np.sin
    axes = [wave(np.pi * k * (np.arange(n) + 0.5) / n) for n, k in zip(shape, order, strict=True)]
    return np.prod(np.meshgrid(*axes, indexing="ij"), axis=0)


LEVELS = {2: [(10, 12), (20, 24), (33, 41)], 3: [(6, 7, 5), (12, 9, 8), (13, 14, 11)]}


@every_constraint
@pytest.mark.parametrize("dimension", [2, 3])
def test_transfer_keeps_the_field(dimension, constraint):
    extent, order = np.array([40.0, 30.0, 25.0][:dimension]), (2, 3, 1)[:dimension]
    grids = [Smoothness(shape, extent / shape, 0.4, 3.0, constraint) for shape in LEVELS[dimension]]
    fields = [
        np.stack([(c + 1) * waves(g.shape, extent, constraint, order) for c in range(dimension)])
        for g in grids
    ]
    for here, field in zip(grids, fields, strict=True):
        for there, wanted in zip(grids, fields, strict=True):
            z = here.transfer(here.to_coordinates(field), there)
            np.testing.assert_allclose(there.to_field(z), wanted, atol=1e-12)


@every_constraint
def test_transfer_to_the_same_grid_with_another_weight(constraint):
    here, there = (Smoothness((9, 8), np.ones(2), w, 1.0, constraint) for w in (0.5, 2.0))
    field = allowed((9, 8), constraint, np.random.default_rng(8))
    z = here.transfer(here.to_coordinates(field), there)
    np.testing.assert_allclose(there.to_field(z), field, atol=1e-12)


@every_constraint
@every_order
@pytest.mark.parametrize("length", [0.0, 4.0])
@pytest.mark.parametrize("dimension", [2, 3])
def test_the_energy_means_the_same_at_every_resolution(dimension, length, order, constraint):
    """The value of an analytic wave converges, with h^2, to the mean of |grad u|^2 and
    l^(2m-2) |D^m u|^2."""
    extent, periods = np.array([40.0, 30.0, 25.0][:dimension]), (2, 1, 1)[:dimension]
    frequency = np.square(np.pi * np.array(periods) / extent).sum()
    exact = (frequency + length ** (2 * order - 2) * frequency**order) / 2**dimension
    errors = []
    for n in (8, 16, 32):
        shape = (n,) * dimension
        field = np.zeros((dimension, *shape))
        field[0] = waves(shape, extent, constraint, periods)
        smoothness = Smoothness(shape, extent / n, 1.0, length, constraint, order=order)
        errors.append(abs(smoothness.value(smoothness.to_coordinates(field)) / exact - 1))
    assert errors[2] < 0.01
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)
    assert errors[1] / errors[2] == pytest.approx(4, rel=0.1)


@every_order
def test_the_unit_of_length_does_not_matter(order):
    """Scaling field, grid and length together leaves the term as it is."""
    field = allowed((9, 8), "zero-mean", np.random.default_rng(9))
    here = Smoothness((9, 8), np.array([1.0, 2.0]), 1.0, 3.0, "zero-mean", order=order)
    there = Smoothness((9, 8), np.array([10.0, 20.0]), 1.0, 30.0, "zero-mean", order=order)
    value = here.value(here.to_coordinates(field))
    assert there.value(there.to_coordinates(10 * field)) == pytest.approx(value, rel=1e-12)


def test_threads_change_no_bit():
    z = np.random.default_rng(10).normal(size=(2, 130, 121))
    one, four = (Smoothness((130, 121), np.ones(2), 1.0, 2.0, "zero-mean", t) for t in (1, 4))
    np.testing.assert_array_equal(one.to_field(z), four.to_field(z))
    np.testing.assert_array_equal(one.pull_gradient(z), four.pull_gradient(z))
