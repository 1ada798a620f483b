"""The bound on det(id + grad u) holds at every point, between the nodes too."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from varreg.backends.folding import HALVED_BELOW
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.backends.numpy.folding import TO_BERNSTEIN
from varreg.geometry.displacement import evaluate
from varreg.geometry.folding import smallest_determinant

BACKENDS = pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])


def dense_determinants(field, spacing, points_per_cell):
    """det(id + grad u) by hand at a lattice of every cell, corners included: (points, cells...)."""
    d, shape = len(field), field.shape[1:]
    cells = tuple(m - 1 for m in shape)
    values = []
    for at in itertools.product(np.linspace(0, 1, points_per_cell), repeat=d):
        gradient = np.zeros((*cells, d, d))
        for corner in itertools.product((0, 1), repeat=d):
            part = field[
                (slice(None), *(slice(c, c + n) for c, n in zip(corner, cells, strict=True)))
            ]
            for axis in range(d):
                weight = (2 * corner[axis] - 1) / spacing[axis]
                for other in range(d):
                    if other != axis:
                        weight *= at[other] if corner[other] else 1 - at[other]
                gradient[..., :, axis] += weight * np.moveaxis(part, 0, -1)
        values.append(np.linalg.det(gradient + np.eye(d)))
    return np.array(values)


def random_field(shape, size, rng, sigma=0.0):
    field = rng.normal(size=(len(shape), *shape))
    if sigma:
        field = np.stack([ndimage.gaussian_filter(c, sigma, mode="nearest") for c in field])
    return size * field / np.abs(field).max()


@BACKENDS
@pytest.mark.parametrize("shape", [(2, 2), (6, 9), (25, 14)])
@pytest.mark.parametrize("size", [0.0, 0.3, 1.0, 5.0])
def test_in_2d_the_bound_is_the_minimum_itself(backend, shape, size):
    rng = np.random.default_rng(0)
    spacing = np.array([0.8, 1.7])
    field = random_field(shape, size, rng)
    bound, cell = backend.determinant_bound(field, spacing, 1)
    corners = dense_determinants(field, spacing, 2)
    assert bound == pytest.approx(corners.min(), rel=1e-12, abs=1e-12)
    dense = dense_determinants(field, spacing, 9)
    assert dense.min() >= bound - 1e-12
    assert dense.min() == pytest.approx(bound, abs=1e-12)
    assert corners[(slice(None), *cell)].min() == pytest.approx(bound, abs=1e-12)


@BACKENDS
@pytest.mark.parametrize("shape", [(2, 2, 2), (5, 4, 7)])
@pytest.mark.parametrize("size", [0.0, 0.1, 0.3, 1.0, 4.0])
def test_in_3d_the_bound_is_below_every_value(backend, shape, size):
    rng = np.random.default_rng(1)
    spacing = np.array([0.8, 1.7, 1.2])
    field = random_field(shape, size, rng)
    bound, _ = backend.determinant_bound(field, spacing, 1)
    assert bound <= dense_determinants(field, spacing, 5).min() + 1e-12


@BACKENDS
def test_in_3d_the_bound_is_close_for_mild_fields(backend):
    rng = np.random.default_rng(2)
    field = random_field((12, 11, 13), 1.2, rng, sigma=2.0)
    smallest = dense_determinants(field, np.ones(3), 5).min()
    bound, _ = backend.determinant_bound(field, np.ones(3), 1)
    assert smallest < 0.7  # the field is not next to nothing
    assert 0 <= smallest - bound < 0.02


@BACKENDS
@pytest.mark.parametrize("shape", [(7, 5), (4, 5, 6)])
def test_identity_and_translation_have_determinant_one(backend, shape):
    field = np.zeros((len(shape), *shape))
    assert backend.determinant_bound(field, np.ones(len(shape)), 1)[0] == 1.0
    field += np.array([3.25, -7.5, 2.0][: len(shape)]).reshape(-1, *(1,) * len(shape))
    assert backend.determinant_bound(field, np.ones(len(shape)), 1)[0] == 1.0


@BACKENDS
@pytest.mark.parametrize("shape", [(7, 5), (4, 5, 6)])
def test_an_affine_field_has_its_determinant_everywhere(backend, shape):
    d, rng = len(shape), np.random.default_rng(3)
    spacing = np.array([0.5, 2.0, 1.5])[:d]
    linear = np.eye(d) + rng.uniform(-0.4, 0.4, (d, d))
    points = np.indices(shape) * spacing.reshape(-1, *(1,) * d)
    field = np.tensordot(linear - np.eye(d), points, 1)
    bound, _ = backend.determinant_bound(field, spacing, 1)
    assert bound == pytest.approx(np.linalg.det(linear), rel=1e-9)


@BACKENDS
@pytest.mark.parametrize("shape", [(30, 41), (9, 13, 11)])
def test_a_fold_is_found_with_its_cell(backend, shape):
    d, rng = len(shape), np.random.default_rng(4)
    for _ in range(5):
        field = random_field(shape, 0.05, rng)
        node = tuple(rng.integers(1, n - 1) for n in shape)
        field[(0, *node)] += 3.0  # steps over its neighbour along the first axis
        bound, cell = backend.determinant_bound(field, np.ones(d), 1)
        assert bound < -1
        assert cell[0] == node[0]  # between it and the next node it goes backwards
        assert all(0 <= n - c <= 1 for n, c in zip(node[1:], cell[1:], strict=True))


@BACKENDS
@pytest.mark.parametrize("shape", [(12, 10), (6, 8, 7)])
def test_a_constant_added_to_the_field_changes_nothing(backend, shape):
    d, rng = len(shape), np.random.default_rng(5)
    field = np.round(random_field(shape, 0.6, rng) * 1024) / 1024  # so that sums are exact
    moved = field + np.array([16.0, -8.0, 4.0][:d]).reshape(-1, *(1,) * d)
    here, there = (backend.determinant_bound(f, np.ones(d), 1) for f in (field, moved))
    assert here == there


@pytest.mark.parametrize("shape", [(160, 170), (28, 40, 36)])
def test_threads_change_neither_bound_nor_cell(shape):
    field = random_field(shape, 0.5, np.random.default_rng(6))
    found = [cpu.determinant_bound(field, np.ones(len(shape)), t) for t in (1, 2, 4)]
    assert found[0] == found[1] == found[2]


@BACKENDS
@pytest.mark.parametrize("dimension", [2, 3])
def test_folds_between_voxels_are_caught(backend, dimension):
    """A zig-zag of period two: central differences at the nodes do not see it at all."""
    shape = (9,) * dimension
    field = np.zeros((dimension, *shape))
    zigzag = 0.6 * (-1.0) ** np.arange(9)
    field[0] = zigzag.reshape(-1, *(1,) * (dimension - 1))
    central = np.stack([np.stack(np.gradient(c)) for c in field])
    inner = (slice(1, -1),) * dimension
    gradient = np.moveaxis(central, (0, 1), (-2, -1))[inner] + np.eye(dimension)
    assert np.linalg.det(gradient).min() == 1.0
    bound, _ = backend.determinant_bound(field, np.ones(dimension), 1)
    assert bound == pytest.approx(1 - 1.2, rel=1e-12)


@BACKENDS
def test_in_3d_a_fold_inside_a_cell_with_good_corners_is_caught(backend):
    """All eight corner determinants are positive, and yet the cell folds in its middle."""
    rng = np.random.default_rng(7)
    found = 0
    for _ in range(4000):
        field = rng.normal(size=(3, 2, 2, 2)) * 0.7
        corners = dense_determinants(field, np.ones(3), 2).min()
        if corners < 0.02:
            continue
        dense = dense_determinants(field, np.ones(3), 5).min()
        if dense < 0:
            found += 1
            assert backend.determinant_bound(field, np.ones(3), 1)[0] <= dense
        if found == 3:
            break
    assert found > 0


@BACKENDS
def test_in_3d_low_cells_are_bounded_four_times_as_closely(backend):
    """Cells of a rough field whose own coefficients lie far below their values."""
    field = np.random.default_rng(8).normal(size=(3, 14, 14, 14)) * 0.3
    smallest = dense_determinants(field, np.ones(3), 9).min(0)
    stops = dense_determinants(field, np.ones(3), 3).reshape(3, 3, 3, 13, 13, 13)
    for axis in range(3):
        stops = np.moveaxis(np.tensordot(TO_BERNSTEIN, stops, (1, axis)), 0, axis)
    coefficient = stops.min((0, 1, 2))
    apart, closer = [], []
    for cell in np.argwhere((coefficient < HALVED_BELOW) & (smallest - coefficient > 0.1)):
        corners = (slice(None), *(slice(k, k + 2) for k in cell))
        bound, _ = backend.determinant_bound(np.ascontiguousarray(field[corners]), np.ones(3), 1)
        assert coefficient[tuple(cell)] < bound <= smallest[tuple(cell)] + 1e-12
        apart.append((smallest - coefficient)[tuple(cell)])
        closer.append(smallest[tuple(cell)] - bound)
    assert len(apart) > 20
    assert np.sum(closer) < 0.3 * np.sum(apart)


def determinants_of_the_map(field, spacing, constraint, points):
    """det(id + grad u) at voxel coordinates by differences of the field as it is evaluated."""
    d, shape, step = len(field), field.shape[1:], 1e-4
    gradient = np.zeros((points.shape[1], d, d))
    for axis in range(d):
        offset = np.zeros((d, 1))
        offset[axis] = step
        high, low = (evaluate(field, shape, points + s * offset, constraint) for s in (0.5, -0.5))
        gradient[:, :, axis] = (high - low).T / (step * spacing[axis])
    return np.linalg.det(gradient + np.eye(d))


@pytest.mark.parametrize("size", [0.3, 0.6])
@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("constraint", ["zero-mean", "zero-boundary"])
def test_the_bound_holds_up_to_the_border(dimension, constraint, size):
    """Between the outermost nodes and the faces too, where zero boundary falls steeply."""
    rng = np.random.default_rng(8)
    shape = {2: (5, 6), 3: (4, 3, 4)}[dimension]
    spacing = np.array([1.0, 1.5, 0.8])[:dimension]
    for _ in range(10):
        field = random_field(shape, size, rng)
        bound, cell = smallest_determinant(field, spacing, constraint, cpu, 1)
        assert all(0 <= c < n - 1 for c, n in zip(cell, shape, strict=True))
        # half cells, a hair inside each of their corners
        stops = [np.arange(2 * n + 1) / 2 - 0.5 for n in shape]
        stops = [np.sort(np.append(s[:-1] + 1e-3, s[1:] - 1e-3)) for s in stops]
        points = np.stack(np.meshgrid(*stops, indexing="ij")).reshape(dimension, -1)
        smallest = determinants_of_the_map(field, spacing, constraint, points).min()
        assert smallest > bound - 1e-6
        if dimension == 2:
            assert smallest == pytest.approx(bound, abs=0.02)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_fold_at_a_zero_boundary_is_caught(dimension):
    """The last nodes move by 0.9 of their distance to the border, which stands still: twice that slope."""
    shape = (6,) * dimension
    field = np.zeros((dimension, *shape))
    field[0, 0] = -0.45
    inner = cpu.determinant_bound(field, np.ones(dimension), 1)[0]
    bound, cell = smallest_determinant(field, np.ones(dimension), "zero-boundary", cpu, 1)
    assert inner > 0.5
    assert bound == pytest.approx(1 - 0.9)
    assert cell[0] == 0
    free, _ = smallest_determinant(field, np.ones(dimension), "zero-mean", cpu, 1)
    assert free == pytest.approx(inner)


@BACKENDS
def test_half_a_turn_at_a_free_border_is_caught(backend):
    """Beyond the last nodes only the tangential derivative is left: a cell turned over may be whole."""
    turn = np.array([[-0.5, -1.0], [1.0, -0.5]])  # det 1.25
    points = np.indices((2, 2)).astype(float)
    field = np.tensordot(turn - np.eye(2), points, 1)
    assert backend.determinant_bound(field, np.ones(2), 1)[0] == pytest.approx(1.25)
    bound, _ = smallest_determinant(field, np.ones(2), "zero-mean", backend, 1)
    assert bound == pytest.approx(-0.5)
