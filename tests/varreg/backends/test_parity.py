"""Numba against NumPy, and the transposes against their forward maps."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from varreg.backends.arrays import Warped, Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.similarity.regions import region_cuts

from ..problems import central_difference
from .scenes import (
    BINS,
    CASES,
    TOLERANCE,
    WINDOWS,
    Scene,
    both_backends,
    both_orders,
    both_types,
    close,
    every_case,
    every_label,
    scene,
    tables,
)


def test_the_scenes_are_not_trivial():
    weights = np.concatenate(
        [scene(case).weight(scene(case).warped(cpu)).ravel() for case in CASES]
    )
    assert (weights == 1).mean() > 0.3
    assert (weights == 0).sum() > 20
    assert ((weights > 0) & (weights < 1)).sum() > 100
    assert any(scene(case).warped(cpu).full.any() for case in CASES)


@every_case
@both_orders
@both_types
def test_warp(case, cubic, dtype):
    s = scene(case, dtype, cubic)
    numba, numpy = s.warped(cpu), s.warped(reference)
    np.testing.assert_array_equal(numba.full, numpy.full)
    close(s.weight(numba), s.weight(numpy), dtype)
    close(numba.value, numpy.value, dtype)
    assert numba.value.dtype == numpy.value.dtype == dtype
    if cubic or s.moving.mask.size:
        assert not numba.full.any()


def test_cubic_values_are_those_of_scipy_and_stay_in_range():
    s = scene("3d", cubic=True)
    value = s.warped(reference).value
    wanted = ndimage.map_coordinates(
        s.moving.image,
        _inside(s),
        order=3,
        prefilter=False,
        mode="mirror",
    )
    inside = (wanted >= s.moving.low) & (wanted <= s.moving.high)
    np.testing.assert_allclose(value[inside], wanted[inside], atol=1e-12)
    assert wanted.min() < s.moving.low - 1  # the overshoot that is bent back
    assert (value > s.moving.low - 1).all() and (value < s.moving.high + 1).all()
    assert (np.diff(value.ravel()[np.argsort(wanted, axis=None)]) >= -1e-12).all()


def _inside(s):
    """Positions by displacement.evaluate-like sums, nearest inside the moving image."""
    from varreg.backends.numpy.sampling import nearest_inside, positions

    return nearest_inside(positions(s.where, s.nodes, s.shape), s.moving.image.shape)


@every_case
@both_orders
@both_types
def test_push(case, cubic, dtype):
    s = scene(case, dtype, cubic)
    warped = s.warped(reference)
    warped.slope[...] = s.rng.normal(size=s.shape)
    warped.weight_slope[...] = s.rng.normal(size=s.shape)
    numba, numpy = (b.backproject(*s.place(), warped, Workspace(), 1) for b in (cpu, reference))
    assert numba.shape == numpy.shape == s.nodes.shape
    close(numba, numpy, dtype)


@every_case
@both_orders
@both_backends
def test_push_is_the_transposed_derivative_of_warp(case, cubic, backend):
    s = scene(case, cubic=cubic)
    warped = s.warped(backend)
    warped.slope[...] = s.rng.normal(size=s.shape)
    warped.slope[s.weight(warped) == 0] = 0  # no value is asked of what is out of view
    warped.weight_slope[...] = s.rng.normal(size=s.shape)
    slope, weight_slope = warped.slope.copy(), warped.weight_slope.copy()
    direction = s.direction()

    def forward(t):
        moved = s.warped(backend, nodes=s.nodes + t * direction)
        # rows that leave the view only within the step would not be counted: none do
        return float((slope * moved.value).sum() + (weight_slope * s.weight(moved)).sum())

    pushed = backend.backproject(*s.place(), warped, Workspace(), 1)
    along = np.einsum("de,e...->d...", s.where.displacement_matrix, direction)
    # full rows say nothing of their weights: their weights are 1 around the state as well
    analytic = float((pushed * along).sum())
    numeric = central_difference(forward, 0.0, 1.0, 2e-7)
    assert analytic == pytest.approx(numeric, rel=2e-6, abs=1e-6 * np.abs(pushed).max())


@every_case
@both_orders
@both_types
@every_label
def test_joint_histogram(case, label, cubic, dtype):
    s = scene(case, dtype, cubic, exact=dtype == np.float32)
    fixed = s.histogram_rows(**label)
    numba, numpy = (b.joint_histogram(*s.place(), fixed, Workspace(), 1) for b in (cpu, reference))
    assert numba.shape == numpy.shape == (tables(fixed) * BINS, BINS)
    assert numba.dtype == numpy.dtype == np.float64
    close(numba, numpy, dtype)
    weight = s.weight(s.warped(reference)) * (1 if s.own is None else s.own)
    inside = weight[fixed.row >= 0].sum(dtype=float)
    assert numba.sum() == pytest.approx(inside, rel=TOLERANCE[dtype])


@every_case
@both_orders
@both_types
@every_label
def test_pull_table(case, label, cubic, dtype):
    s = scene(case, dtype, cubic, exact=dtype == np.float32)
    fixed = s.histogram_rows(**label)
    table = s.rng.normal(size=(tables(fixed) * BINS, BINS))
    numba, numpy = (
        b.backproject_table(*s.place(), fixed, table, Workspace(), 1) for b in (cpu, reference)
    )
    assert numba.shape == numpy.shape == s.nodes.shape
    assert numba.dtype == dtype
    close(numba, numpy, dtype)


@every_case
@both_orders
@every_label
@both_backends
def test_pull_table_is_the_transposed_derivative_of_joint_histogram(case, label, cubic, backend):
    s = scene(case, cubic=cubic)
    fixed, workspace = s.histogram_rows(**label), Workspace()
    table = s.rng.normal(size=(tables(fixed) * BINS, BINS))
    direction = s.direction()

    def forward(t):
        place = s.place(s.nodes + t * direction)
        return float((backend.joint_histogram(*place, fixed, workspace, 1) * table).sum())

    pulled = backend.backproject_table(*s.place(), fixed, table, workspace, 1).copy()
    analytic = float(
        (pulled * np.einsum("de,e...->d...", s.where.displacement_matrix, direction)).sum()
    )
    numeric = central_difference(forward, 0.0, 1.0, 2e-7)
    assert analytic == pytest.approx(numeric, rel=2e-6, abs=1e-6 * np.abs(pulled).max())


@pytest.mark.parametrize("case", ["2d", "2d-half-out-of-view", "3d-mask", "3d-few-nodes"])
@both_backends
def test_each_region_has_the_histogram_of_its_voxels_alone(case, backend):
    s = scene(case)
    counts = (1, 2, 3) if "2d" in case else (2, 1, 3)
    together = backend.joint_histogram(*s.place(), s.histogram_rows(counts), Workspace(), 1)
    stack = together.reshape(-1, BINS, BINS)
    cuts = [region_cuts(n, count) for n, count in zip(s.shape, counts, strict=True)]
    boxes = itertools.product(*(itertools.pairwise(c) for c in cuts))
    counted, seen = s.counted.copy(), 0.0
    for table, box in zip(stack, boxes, strict=True):
        s.counted = np.zeros_like(counted)
        inside = tuple(slice(*edges) for edges in box)
        s.counted[inside] = counted[inside]
        alone = backend.joint_histogram(*s.place(), s.histogram_rows(), Workspace(), 1)
        np.testing.assert_allclose(table, alone, rtol=0, atol=1e-12)
        seen += table.sum()
    assert (stack.sum(axis=(1, 2)) > 0).sum() > 1
    s.counted = counted
    whole = backend.joint_histogram(*s.place(), s.histogram_rows(), Workspace(), 1)
    np.testing.assert_allclose(stack.sum(0), whole, rtol=0, atol=1e-9)
    assert whole.sum() == pytest.approx(seen, rel=1e-12)


@pytest.mark.parametrize("case", ["2d", "3d-mask"])
@both_types
def test_the_width_of_the_labels_does_not_matter(case, dtype):
    s = scene(case, dtype)
    fixed = s.histogram_rows((2, 2, 3))
    assert fixed.row.dtype == np.int16
    table = s.rng.normal(size=(tables(fixed) * BINS, BINS))
    found = []
    for kind in (np.int16, np.int32):
        some, workspace = fixed._replace(row=fixed.row.astype(kind)), Workspace()
        histogram = cpu.joint_histogram(*s.place(), some, workspace, 1)
        pulled = cpu.backproject_table(*s.place(), some, table, workspace, 1)
        found.append((histogram.tobytes(), pulled.tobytes()))
    assert found[0] == found[1]


@both_types
def test_more_labels_than_16_bits_hold(dtype):
    """Every column of the image is a region of its own."""
    s = Scene((4, 1400), (5, 1390), (3, 60), dtype, tilt=1e-3, exact=True)
    fixed = s.histogram_rows((1, 1, 1400))
    assert fixed.row.max() > np.iinfo(np.int16).max
    table = s.rng.normal(size=(1400 * BINS, BINS))
    histograms, pulled = [], []
    for backend in (cpu, reference):
        histograms.append(backend.joint_histogram(*s.place(), fixed, Workspace(), 1))
        pulled.append(backend.backproject_table(*s.place(), fixed, table, Workspace(), 1))
    close(*histograms, dtype)
    close(*pulled, dtype)
    assert (histograms[0].reshape(1400, -1).sum(1) > 0).mean() > 0.9


@every_case
@both_types
def test_windowed_histogram(case, dtype):
    s = scene(case, dtype)
    warped, fixed = s.warped(reference), s.fixed()
    numba, numpy = (b.windowed_histogram(fixed, warped, BINS, WINDOWS, 1) for b in (cpu, reference))
    close(numba, numpy, dtype)
    inside = s.weight(warped)[s.counted].sum(dtype=float)
    assert numba.sum() == pytest.approx(inside, rel=TOLERANCE[dtype])


@every_case
@both_types
def test_windowed_slope(case, dtype):
    s = scene(case, dtype)
    fixed, table = s.fixed(), s.rng.normal(size=(BINS, BINS))
    numba, numpy = s.warped(reference), s.warped(reference)
    for backend, warped in ((cpu, numba), (reference, numpy)):
        backend.windowed_slope(fixed, warped, table, WINDOWS, 1)
    close(numba.slope, numpy.slope, dtype)
    close(s.weight_slope(numba), s.weight_slope(numpy), dtype)
    assert (numba.slope[~s.counted] == 0).all()


@pytest.mark.parametrize("case", ["2d", "3d-mask"])
@both_backends
def test_windowed_slope_is_the_transposed_derivative(case, backend):
    s = scene(case)
    fixed, table = s.fixed(), s.rng.normal(size=(BINS, BINS))
    warped = s.warped(backend)
    backend.windowed_slope(fixed, warped, table, WINDOWS, 1)
    value, weight = warped.value.copy(), s.weight(warped)
    by_value = s.rng.normal(size=s.shape)
    by_weight = s.rng.normal(size=s.shape)

    def forward(t):
        moved = Warped.empty(s.shape, np.float64)
        moved.value[...] = np.clip(value + t * by_value, 1, BINS - 2)
        moved.weight[...] = weight + t * by_weight
        return float((backend.windowed_histogram(fixed, moved, BINS, WINDOWS, 1) * table).sum())

    free = (value > 1 + 1e-3) & (value < BINS - 2 - 1e-3)
    by_value *= free
    every = Warped.empty(s.shape, np.float64)  # no row is full: all weights count
    every.value[...], every.weight[...] = value, weight
    backend.windowed_slope(fixed, every, table, WINDOWS, 1)
    analytic = (every.slope * by_value).sum()
    analytic += np.where(fixed < 0, 0, every.weight_slope * by_weight).sum()
    numeric = central_difference(forward, 0.0, 1.0, 1e-5)
    assert analytic == pytest.approx(numeric, rel=1e-6)
    np.testing.assert_allclose(warped.slope, every.slope, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", [(2, 2), (7, 9), (30, 21), (2, 3, 2), (5, 8, 6), (12, 7, 9)])
@pytest.mark.parametrize("size", [0.05, 0.4, 2.0])
@both_types
def test_determinant_bound(shape, size, dtype):
    rng = np.random.default_rng(len(shape))
    spacing = rng.uniform(0.5, 2.5, len(shape))
    field = (size * rng.normal(size=(len(shape), *shape))).astype(dtype)
    bound, cell = cpu.determinant_bound(field, spacing, 1)
    again, there = reference.determinant_bound(field, spacing, 1)
    assert bound == pytest.approx(again, rel=TOLERANCE[dtype], abs=TOLERANCE[dtype])
    assert cell == there
    around = (slice(None), *(slice(c, c + 2) for c in cell))
    alone, _ = reference.determinant_bound(field[around], spacing, 1)
    assert alone == pytest.approx(again, rel=TOLERANCE[dtype], abs=TOLERANCE[dtype])


@pytest.mark.parametrize("shape", [(12, 9), (11, 7, 10)])
@both_types
def test_average_axis(shape, dtype):
    rng = np.random.default_rng(2)
    image = rng.random(shape).astype(dtype)
    for axis, width in itertools.product(range(len(shape)), (1, 2, 4)):
        count = 5
        start = np.sort(rng.integers(0, shape[axis] - width + 1, count))
        weight = rng.random((count, width)).astype(dtype)
        weight /= weight.sum(1, keepdims=True)
        numba = cpu.average_axis(image, axis, start, weight, 1)
        numpy = reference.average_axis(image, axis, start, weight, 1)
        assert numba.shape == numpy.shape
        assert numba.dtype == numpy.dtype == dtype
        close(numba, numpy, dtype)
