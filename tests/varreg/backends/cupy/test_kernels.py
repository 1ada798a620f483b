"""The CUDA kernels, run on the CPU, against the other backends, in any order of threads."""

import numpy as np
import pytest

from varreg.backends.arrays import Warped, Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.similarity.estimator import parzen_kernel
from varreg.similarity.histogram_rows import histogram_rows

from ...problems import central_difference
from ..scenes import (
    BINS,
    WINDOWS,
    Scene,
    both_orders,
    both_types,
    every_case,
    every_label,
    scene,
    tables,
)
from .device import ORDERS, backend, fused, needs_compiler

pytestmark = needs_compiler
KERNEL = parzen_kernel(BINS, 0.5)
#: Share of the largest entry.
TOLERANCE = {np.float64: 1e-12, np.float32: 5e-6}
STEP = 2.0**-15  # half a unit of 2^-18 a voxel, as a random walk
other_backend = {np.float64: reference, np.float32: cpu}


def close(found, wanted, tolerance):
    scale = max(np.abs(wanted).max(), 1e-3)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * scale)


@every_case
@both_orders
@both_types
def test_warp(case, cubic, dtype):
    s = scene(case, dtype, cubic, exact=dtype == np.float32)
    found, wanted = s.warped(backend()), s.warped(other_backend[dtype])
    close(found.value, wanted.value, TOLERANCE[dtype])
    close(found.weight, s.weight(wanted), TOLERANCE[dtype])


@every_case
@both_orders
@both_types
def test_backprojection(case, cubic, dtype):
    s = scene(case, dtype, cubic, exact=dtype == np.float32)
    warped = s.warped(other_backend[dtype])
    warped.slope[...] = s.rng.normal(size=s.shape)
    warped.weight_slope[...] = np.where(s.rows(warped), 0, s.rng.normal(size=s.shape))
    place = *s.place(), warped, Workspace(), 1
    close(backend().backproject(*place), reference.backproject(*place), 2 * TOLERANCE[dtype])


@every_case
@both_orders
@both_types
@every_label
def test_joint_histogram(case, cubic, dtype, label):
    s = scene(case, dtype, cubic, exact=dtype == np.float32)
    rows = s.histogram_rows(**label)
    found = backend().joint_histogram(*s.place(), rows, Workspace(), 1)
    wanted = other_backend[dtype].joint_histogram(*s.place(), rows, Workspace(), 1)
    assert found.shape == (tables(rows) * BINS, BINS)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=STEP + TOLERANCE[dtype] * wanted.max())


@every_case
@both_orders
@both_types
@every_label
def test_derivative_by_the_histogram(case, cubic, dtype, label):
    s = scene(case, dtype, cubic, exact=dtype == np.float32)
    rows = s.histogram_rows(**label)
    table = s.rng.normal(size=(tables(rows) * BINS, BINS))
    place = *s.place(), rows, table, Workspace(), 1
    found, wanted = (b.backproject_table(*place) for b in (backend(), other_backend[dtype]))
    close(found, wanted, 2 * TOLERANCE[dtype])


@every_case
@both_types
@every_label
def test_mutual_information(case, dtype, label):
    s = scene(case, dtype, exact=dtype == np.float32)
    rows, workspaces = s.histogram_rows(**label), (Workspace(), Workspace())
    both = list(zip((backend(), other_backend[dtype]), workspaces, strict=True))
    found, wanted = (b.mutual_information(*s.place(), rows, KERNEL, w, 1) for b, w in both)
    assert found == pytest.approx(wanted, rel=1e-6)
    found, wanted = (b.information_gradient(*s.place(), rows, KERNEL, 0.01, w, 1) for b, w in both)
    close(found, wanted, 1e-3)  # logarithms of nearly empty entries


@every_case
@both_types
def test_histogram_by_windows_and_its_derivative(case, dtype):
    s = scene(case, dtype)
    warped, table = s.warped(cpu), s.rng.normal(size=(BINS, BINS))
    found, wanted = (
        b.windowed_histogram(s.fixed(), warped, BINS, WINDOWS, 1) for b in (backend(), reference)
    )
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
    backend().windowed_slope(s.fixed(), warped, table, WINDOWS, 1)
    found = warped.slope.copy(), s.weight_slope(warped)
    reference.windowed_slope(s.fixed(), warped, table, WINDOWS, 1)
    close(found[0], warped.slope, TOLERANCE[dtype])
    close(found[1], s.weight_slope(warped), TOLERANCE[dtype])


@pytest.mark.parametrize("case", ["2d-mask", "3d-half-out-of-view"])
def test_gradient_is_that_of_the_value(case):
    s = scene(case, cubic=True, exact=True)
    rows, workspace = s.histogram_rows((1, 2, 2)), Workspace()
    direction = s.direction()
    along = np.einsum("de,e...->d...", s.where.displacement_matrix, direction)

    def value(t):
        place = s.place(s.nodes + t * direction)
        return backend().mutual_information(*place, rows, KERNEL, workspace, 1)[1]

    numeric = central_difference(value, 0.0, 1.0, 1e-3)
    value(0.0)
    gradient = backend().information_gradient(*s.place(), rows, KERNEL, 1.0, workspace, 1)
    assert float((gradient * along).sum()) == pytest.approx(numeric, rel=2e-3)


@pytest.mark.parametrize("flavour", ["plain", fused])
@pytest.mark.parametrize("case", ["2d-half-out-of-view", "3d-mask"])
def test_any_order_of_threads_gives_the_same_bits(case, flavour):
    s = scene(case, np.float32)
    rows, warped = s.histogram_rows((2, 2, 3), 2), s.warped(cpu)
    warped.slope[...] = s.rng.normal(size=s.shape)
    warped.weight_slope[...] = np.where(s.rows(warped), 0, s.rng.normal(size=s.shape))

    def results(order):
        b, workspace = backend(flavour, order), Workspace()
        value = b.mutual_information(*s.place(), rows, KERNEL, workspace, 1)
        gradient = b.information_gradient(*s.place(), rows, KERNEL, 1.0, workspace, 1)
        pushed = b.backproject(*s.place(), warped, Workspace(), 1)
        return np.array(value), gradient, pushed, s.warped(b).value

    first, *others = (results(order) for order in ORDERS)
    for other in others:
        for one, two in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("flavour", [fused])
@every_case
@both_orders
def test_fused_multiply_add_changes_rounding_only(case, cubic, flavour):
    s = scene(case, np.float32, cubic, exact=True)
    rows = s.histogram_rows((2, 2, 3), 2)
    place = *s.place(), rows, KERNEL
    found, wanted = (b.mutual_information(*place, Workspace(), 1) for b in (backend(flavour), cpu))
    assert found == pytest.approx(wanted, rel=1e-5)
    close(s.warped(backend(flavour)).value, s.warped(cpu).value, 1e-5)


def test_blocks_of_other_sizes_give_the_same_bits(monkeypatch):
    from varreg.backends.cupy import residence

    s = scene("3d-mask", np.float32)
    rows, found = s.histogram_rows((2, 2, 2)), []
    for voxels in (4096, 64):
        monkeypatch.setattr(residence, "VOXELS_PER_BLOCK", voxels)
        held = backend().resident(rows)._replace(bits=18)
        found.append(backend().joint_histogram(*s.place(), held, Workspace(), 1))
    np.testing.assert_array_equal(*found)


def test_voxels_in_view_add_up_to_their_number():
    s = scene("2d", np.float32)
    inside = np.full(s.where.linear.shape, 0, np.float32)
    inside[:, :3] = np.eye(3) * 0.5
    where = s.where._replace(linear=inside)
    rows = histogram_rows(s.bins, BINS, (1, 2, 2), s.counted)
    table = backend().joint_histogram(s.moving, where, s.nodes * 0, rows, Workspace(), 1)
    assert table.sum() == s.counted.sum()


def test_a_table_too_large_for_a_block():
    bins = 150
    s = Scene((17, 22), (19, 20), (5, 6), np.float64)
    values = s.rng.integers(0, bins, s.shape)
    image = 1 + (s.moving.image - 1) * (bins - 3) / (BINS - 3)
    moving = s.moving._replace(image=image, high=bins - 2.0)
    rows = histogram_rows(values, bins, (1, 1, 2), s.counted)
    place = moving, s.where, s.nodes, rows, Workspace(), 1
    found, wanted = (b.joint_histogram(*place) for b in (backend(), reference))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=STEP)


@pytest.mark.parametrize("count", [1, 40])
def test_an_image_of_which_nothing_counts(count):
    s = scene("2d", np.float32)
    s.counted[...] = False
    rows, workspace = s.histogram_rows((1, 1, 2)), Workspace()
    assert backend().mutual_information(*s.place(), rows, KERNEL, workspace, 1) == (0, 0)
    gradient = backend().information_gradient(*s.place(), rows, KERNEL, 1.0, workspace, 1)
    assert not gradient.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30])
@both_orders
def test_absurd_positions_are_out_of_view(value, cubic):
    s = scene("3d", np.float32, cubic)
    s.nodes[:, 2:5, 3, 4] = value
    warped = s.warped(backend())
    assert np.isfinite(warped.value).all() and np.isfinite(warped.weight).all()
    assert (warped.weight == 0).any()
    workspace, rows = Workspace(), s.histogram_rows()
    assert np.isfinite(backend().mutual_information(*s.place(), rows, KERNEL, workspace, 1)).all()


@pytest.mark.parametrize(
    "shape", [(2, 7, 9), (2, 2, 2), (3, 5, 6, 7), (3, 2, 2, 2), (3, 20, 18, 25)]
)
@pytest.mark.parametrize("order", ORDERS)
def test_determinant_bound(shape, order):
    rng = np.random.default_rng(1)
    field, spacing = rng.normal(size=shape) * 0.2, np.array([1.0, 1.5, 0.8][: shape[0]])
    found, wanted = (b.determinant_bound(field, spacing, 1) for b in (backend("plain", order), cpu))
    assert found[0] == pytest.approx(wanted[0], rel=1e-12)
    assert found[1] == wanted[1]


@pytest.mark.parametrize("shape", [(2, 7, 9), (3, 5, 6, 7)])
def test_of_equal_bounds_the_first_cell(shape):
    spacing = np.ones(shape[0])
    bound, cell = backend("plain", "reverse").determinant_bound(np.zeros(shape), spacing, 1)
    assert bound == 1 and cell == (0,) * shape[0]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(1, 9, 11), (7, 8, 9)])
def test_images_at_points(shape, dtype):
    rng = np.random.default_rng(2)
    image = rng.random(shape).astype(dtype)
    points = rng.uniform(-1, np.array(shape)[:, None] + 0.2, (3, 500)).astype(dtype)
    points[:, :3] = [[np.nan, 0, 1], [np.inf, 2, 1], [1, -0.5, 1]]
    points = points[1:] if shape[0] == 1 else points
    found, wanted = np.empty((2, points.shape[1]), dtype)
    backend().read_linear(image, points, -7.0, found)
    reference.read_linear(image, points, -7.0, wanted)
    assert (wanted == -7).any() and (wanted != -7).any()
    close(found, wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_averages_along_an_axis(axis):
    rng = np.random.default_rng(3)
    image = rng.random((9, 10, 11)).astype(np.float32)
    start, weights = np.array([0, 2, 4, 6]), rng.random((4, 3)).astype(np.float32)
    found, wanted = (b.average_axis(image, axis, start, weights, 1) for b in (backend(), reference))
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    close(found, wanted, 1e-6)


def test_nodes_on_the_device_are_answered_there():
    s = scene("3d-few-nodes", np.float32)
    b, rows, warped = backend(), s.histogram_rows(), s.warped(cpu)
    nodes, workspace = b.resident(s.nodes), Workspace()
    value = b.mutual_information(*s.place(nodes), rows, KERNEL, workspace, 1)
    gradient = b.information_gradient(*s.place(nodes), rows, KERNEL, 1.0, workspace, 1)
    assert value == b.mutual_information(*s.place(), rows, KERNEL, Workspace(), 1)
    host = b.information_gradient(*s.place(), rows, KERNEL, 1.0, workspace, 1)
    np.testing.assert_array_equal(gradient.get(), host)
    buffers = b.resident(Warped.empty(s.shape, s.dtype))
    b.warp(b.resident(s.moving), s.where, nodes, buffers, 1)
    close(buffers.value.get(), warped.value, 1e-4)
