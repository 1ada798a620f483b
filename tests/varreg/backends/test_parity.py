"""Numba against NumPy, one against several threads, and the transposes against their forward maps."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from varreg.backends.arrays import Moving, Warped, Windows, Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.geometry.displacement import axis_table
from varreg.similarity.estimator import parzen_kernel
from varreg.similarity.histogram_rows import histogram_rows
from varreg.similarity.regions import region_cuts
from varreg.similarity.volumes import _content, voxel_map

from ..problems import central_difference

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
BINS = 24
WINDOWS = Windows(4, 0.5)

CASES = {
    "2d": dict(shape=(17, 22), moving=(19, 20), nodes=(17, 22)),
    "2d-few-nodes": dict(shape=(33, 21), moving=(30, 25), nodes=(5, 4)),
    "2d-zero-boundary": dict(shape=(21, 26), moving=(21, 26), nodes=(6, 7), boundary=True),
    "2d-mask": dict(shape=(18, 23), moving=(21, 19), nodes=(7, 9), mask=True),
    "2d-half-out-of-view": dict(shape=(25, 29), moving=(27, 26), nodes=(6, 5), shift=(14, -11)),
    "2d-mirrored": dict(shape=(19, 24), moving=(23, 22), nodes=(5, 6), turn=((1, 0), (0, -1))),
    "2d-turned": dict(shape=(24, 19), moving=(23, 22), nodes=(5, 6), turn=((0, 1), (-1, 0))),
    "3d": dict(shape=(9, 11, 8), moving=(10, 9, 9), nodes=(9, 11, 8)),
    "3d-few-nodes": dict(shape=(13, 10, 11), moving=(9, 12, 13), nodes=(4, 3, 5)),
    "3d-mask": dict(shape=(8, 9, 11), moving=(9, 11, 10), nodes=(3, 4, 4), mask=True),
    "3d-half-out-of-view": dict(
        shape=(10, 12, 11), moving=(11, 10, 13), nodes=(3, 4, 4), shift=(-4, 3, 6)
    ),
    "3d-turned": dict(
        shape=(10, 12, 11), moving=(11, 10, 13), nodes=(3, 4, 4),
        turn=((0, 0, -1), (0, 1, 0), (1, 0, 0)),
    ),
}  # fmt: skip


class Scene:
    """A moving image, a map that leaves its view on purpose, and a fixed image, all random.

    Where float32 rounds a position, noise differs by more than the rounding of its values; `exact`
    maps consist of short binary fractions, so that all backends look at the same places, and the
    image is smooth, so that cubic coefficients are no larger than its values.
    """

    def __init__(
        self, shape, moving, nodes, dtype, cubic=False, mask=False, boundary=False, shift=0.0,
        turn=None, tilt=0.04, exact=False, seed=0,
    ):  # fmt: skip
        rng = np.random.default_rng(seed)
        d = len(shape)
        self.dtype, self.rng = dtype, rng
        self.shape, size = (1,) * (3 - d) + tuple(shape), (1,) * (3 - d) + tuple(moving)
        span = (2.0, BINS - 3.0) if cubic else (1.0, BINS - 2.0)
        image = rng.uniform(*span, size)
        if exact:
            image = ndimage.gaussian_filter(image, 1)
            image = np.interp(image, (image.min(), image.max()), span)
        if cubic:
            for axis in range(3 - d, 3):
                image = ndimage.spline_filter1d(image, 3, axis, mode="mirror")
        weights = np.zeros((0, 0, 0))
        if mask:
            weights = np.clip(ndimage.gaussian_filter(rng.normal(size=size), 1.5) * 6 + 0.5, 0, 1)
        self.moving = Moving(
            image=image.astype(dtype), mask=weights.astype(dtype),
            limit=np.maximum(np.array(size) - 2, 0).astype(dtype),
            content=_content(np.ones(size, bool)).astype(dtype), cubic=cubic, low=span[0],
            high=span[1],
        )  # fmt: skip
        constraint = "zero-boundary" if boundary else "zero-mean"
        tables = [
            axis_table(np.arange(n), n, m, constraint) for n, m in zip(shape, nodes, strict=True)
        ]
        scale = np.array(moving) / np.array(shape)
        linear = np.zeros((d, d + 1))
        linear[:, :-1] = np.diag(scale) + rng.uniform(-tilt, tilt, (d, d))
        linear[:, -1] = rng.uniform(-0.5, 0.9, d) + shift
        if turn is not None:  # about the centre
            middle = (np.array(moving) - 1) / 2
            linear[:, -1] -= middle
            linear = turn @ linear
            linear[:, -1] += middle
        matrix = np.diag(scale) + rng.uniform(-0.1, 0.1, (d, d))
        self.where = voxel_map(tables, linear, matrix, dtype)
        field = np.zeros((3, *(1,) * (3 - d), *nodes))
        field[3 - d :] = rng.uniform(-0.8, 0.8, (d, *field.shape[1:]))
        self.nodes = field.astype(dtype)
        if exact:
            linear, matrix = short(self.where.linear, 64), short(self.where.displacement_matrix, 4)
            weight = short(self.where.weight, 8)
            self.where = self.where._replace(
                linear=linear, displacement_matrix=matrix, weight=weight
            )
            self.nodes = short(self.nodes, 8)
        self.bins = rng.integers(0, BINS, self.shape)
        self.counted = rng.random(self.shape) >= 0.2
        self.values = np.clip(self.bins + rng.uniform(-0.49, 0.49, self.shape), 0, BINS - 1)

    def histogram_rows(self, counts=(1, 1, 1), stride=1):
        """The fixed image as fixed, some voxels masked; a plane is not cut along the first axis."""
        counts = (min(counts[0], self.shape[0]), *counts[1:])
        return histogram_rows(self.bins, BINS, counts, self.counted, stride)

    def place(self, nodes=None):
        return self.moving, self.where, self.nodes if nodes is None else nodes

    def direction(self):
        """A random direction of the nodes; a plane does not leave itself."""
        direction = self.rng.normal(size=self.nodes.shape)
        return direction * self.nodes.any(axis=(1, 2, 3), keepdims=True)

    def fixed(self):
        """The fixed image as values in bins, for the windows."""
        return np.where(self.counted, self.values, -1).astype(self.dtype)

    def warped(self, backend, threads=1, nodes=None):
        warped = Warped.empty(self.shape, self.dtype)
        warped.weight[...] = np.nan  # only what is defined may be read
        warped.weight_slope[...] = np.nan
        backend.warp(*self.place(nodes), warped, threads)
        return warped

    def rows(self, warped):
        return warped.full.reshape(*self.shape[:2], 1).astype(bool)

    def weight(self, warped):
        return np.where(self.rows(warped), 1, warped.weight)

    def weight_slope(self, warped):
        return np.where(self.rows(warped) | ~self.counted, 0, warped.weight_slope)


def short(values, denominator):
    """Binary fractions of few digits."""
    return (np.round(values * denominator) / denominator).astype(values.dtype)


def scene(case, dtype=np.float64, cubic=False, exact=False):
    return Scene(**CASES[case], dtype=dtype, cubic=cubic, exact=exact)


def tables(fixed):
    """Number of tables that the fixed distinguish."""
    return (fixed.group.max() + 1) * fixed.height // fixed.bins


def close(a, b, dtype):
    scale = max(np.abs(b).max(), 1e-3)
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * scale)


every_case = pytest.mark.parametrize("case", CASES)
both_types = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
every_label = pytest.mark.parametrize(
    "label",
    [dict(), dict(counts=(2, 2, 3), stride=2), dict(counts=(1, 1, 2), stride=4)],
    ids=["whole", "regions-stride-2", "regions-stride-4"],
)
both_orders = pytest.mark.parametrize("cubic", [False, True], ids=["linear", "cubic"])
both_backends = pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])


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
    inside = s.weight(s.warped(reference))[fixed.row >= 0].sum(dtype=float)
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


LARGE = {  # several tiles of work
    "2d": dict(shape=(260, 251), moving=(255, 249), nodes=(40, 37)),
    "3d": dict(shape=(43, 45, 47), moving=(41, 48, 44), nodes=(12, 11, 13)),
    "3d-mask": dict(shape=(41, 47, 53), moving=(43, 45, 50), nodes=(14, 11, 12), mask=True),
}
LARGE_COUNTS = {"2d": (1, 2, 3), "3d": (2, 1, 2), "3d-mask": (1, 2, 2)}
every_large_case = pytest.mark.parametrize("case", LARGE)


@every_large_case
@both_types
@pytest.mark.parametrize("stride", [1, 4])
def test_several_tiles_of_several_groups(case, stride, dtype):
    s = Scene(**LARGE[case], dtype=dtype, exact=dtype == np.float32)
    fixed = s.histogram_rows(LARGE_COUNTS[case], stride)
    assert len(fixed.tiles) >= 2 * (fixed.group.max() + 1) >= 4
    table = s.rng.normal(size=(tables(fixed) * BINS, BINS))
    histograms, pulled = [], []
    for backend in (cpu, reference):
        histograms.append(backend.joint_histogram(*s.place(), fixed, Workspace(), 1))
        pulled.append(backend.backproject_table(*s.place(), fixed, table, Workspace(), 1))
    close(*histograms, dtype)
    close(*pulled, dtype)


@every_large_case
@both_orders
def test_any_number_of_threads_gives_the_same_bits(case, cubic):
    s = Scene(**LARGE[case], dtype=np.float32, cubic=cubic)
    fixed, table = s.fixed(), s.rng.normal(size=(BINS, BINS))
    workspace = Workspace()

    def everything(threads):
        warped = s.warped(cpu, threads)
        histogram = cpu.windowed_histogram(fixed, warped, BINS, WINDOWS, threads)
        cpu.windowed_slope(fixed, warped, table, WINDOWS, threads)
        pushed = cpu.backproject(*s.place(), warped, workspace, threads)
        arrays = [warped.value, s.weight(warped), histogram, warped.slope, pushed]
        return [a.tobytes() for a in [*arrays, s.weight_slope(warped)]]

    one = everything(1)
    assert all(everything(threads) == one for threads in (2, 3, 2))


@every_large_case
@both_orders
@pytest.mark.parametrize("regional", [False, True], ids=["whole", "regions"])
@pytest.mark.parametrize("stride", [1, 2])
def test_any_number_of_threads_gives_the_same_tables_and_forces(case, stride, regional, cubic):
    s = Scene(**LARGE[case], dtype=np.float32, cubic=cubic)
    fixed = s.histogram_rows(LARGE_COUNTS[case] if regional else (1, 1, 1), stride)
    kernel, workspace = parzen_kernel(BINS, 0.7), Workspace()

    def everything(threads):
        place = (*s.place(), fixed)
        histogram = cpu.joint_histogram(*place, workspace, threads).copy()
        found = cpu.mutual_information(*place, kernel, workspace, threads)
        pulled = cpu.information_gradient(*place, kernel, 0.7, workspace, threads).copy()
        table = np.random.default_rng(0).normal(size=histogram.shape)
        again = cpu.backproject_table(*place, table, workspace, threads)
        return [*found, *(a.tobytes() for a in (histogram, pulled, again))]

    one = everything(1)
    assert all(everything(threads) == one for threads in (2, 3, 2))


@every_case
@both_orders
@both_types
@every_label
def test_mutual_information_and_its_derivative(case, label, cubic, dtype):
    """One call does what joint histogram, smoothing, logarithms and pull do one after the other."""
    s = scene(case, dtype, cubic, exact=dtype == np.float32)
    place = (*s.place(), s.histogram_rows(**label), parzen_kernel(BINS, 0.7))
    found, pulled = [], []
    for backend in (cpu, reference):
        workspace = Workspace()
        found.append(backend.mutual_information(*place, workspace, 2))
        pulled.append(backend.information_gradient(*place, 0.3, workspace, 2).copy())
    np.testing.assert_allclose(*found, rtol=TOLERANCE[dtype])
    assert pulled[0].dtype == dtype
    close(*pulled, dtype)


def test_scratch_of_one_image_serves_another():
    """What a workspace holds is of no consequence, nor is its size."""
    workspace = Workspace()
    for case in ("2d", "3d", "2d-few-nodes", "3d-mask", "2d", "3d-few-nodes"):
        for dtype in TOLERANCE:
            s = scene(case, dtype)
            fixed, warped = s.histogram_rows((2, 2, 2)), s.warped(cpu)
            table = s.rng.normal(size=(tables(fixed) * BINS, BINS))
            warped.slope[...], warped.weight_slope[...] = s.rng.normal(size=(2, *s.shape))
            for kept in workspace.values():
                kept.fill(1e30)
            found = []
            for which in (workspace, Workspace()):
                histogram = cpu.joint_histogram(*s.place(), fixed, which, 2).tobytes()
                pulled = cpu.backproject_table(*s.place(), fixed, table, which, 2).tobytes()
                pushed = cpu.backproject(*s.place(), warped, which, 2).tobytes()
                found.append((histogram, pulled, pushed))
            assert found[0] == found[1]


@pytest.mark.parametrize("shape", [(190, 181), (29, 37, 31)])
def test_any_number_of_threads_finds_the_same_bound_and_average(shape):
    rng = np.random.default_rng(5)
    field = 0.3 * rng.normal(size=(len(shape), *shape))
    spacing = np.full(len(shape), 1.5)
    image = rng.random(shape)
    start, weight = np.arange(0, shape[0] - 2, 2), np.full((len(range(0, shape[0] - 2, 2)), 2), 0.5)
    bounds = [cpu.determinant_bound(field, spacing, threads) for threads in (1, 2, 4)]
    averages = [cpu.average_axis(image, 0, start, weight, threads) for threads in (1, 2, 4)]
    assert bounds[0] == bounds[1] == bounds[2]
    assert averages[0].tobytes() == averages[1].tobytes() == averages[2].tobytes()


PLAIN = {name: case for name, case in (CASES | LARGE).items() if not case.get("mask")}


def of_little_content(name):
    """A scene whose moving image is background but for a few voxels in its middle."""
    s = Scene(**(LARGE | CASES)[name], dtype=np.float64)
    size = s.moving.image.shape
    inside = np.zeros(size, bool)
    inside[tuple(slice(n // 3, n // 3 + 2) if n > 1 else slice(None) for n in size)] = True
    image = np.where(inside, s.moving.image, s.moving.low)
    return s, s.moving._replace(image=image), _content(inside).astype(float)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_row_that_meets_only_background_is_skipped_without_a_trace(name, stride):
    s, moving, tight = of_little_content(name)
    fixed, slopes = s.histogram_rows((2, 2, 2), stride), s.rng.normal(size=(2, *s.shape))
    table = s.rng.normal(size=(tables(fixed) * BINS, BINS))
    found = []
    for content in (moving.content, tight):
        s.moving = moving._replace(content=content)
        warped = s.warped(cpu)
        warped.slope[...], warped.weight_slope[...] = slopes
        pushed = cpu.backproject(*s.place(), warped, Workspace(), 1)
        histogram = cpu.joint_histogram(*s.place(), fixed, Workspace(), 1)
        pulled = cpu.backproject_table(*s.place(), fixed, table, Workspace(), 1)
        found.append((warped.value, warped.full, s.weight(warped), pushed, histogram, pulled))
    assert (found[0][0] == moving.low).mean() > 0.5
    for whole, part in itertools.islice(zip(*found, strict=True), 4):
        np.testing.assert_array_equal(whole, part)
    np.testing.assert_allclose(found[0][4], found[1][4], rtol=0, atol=1e-9)
    scale = np.abs(found[0][5]).max()
    np.testing.assert_allclose(found[0][5], found[1][5], rtol=0, atol=1e-12 * scale)
    assert scale > 0


@pytest.mark.parametrize("name", ["2d-few-nodes", "3d-few-nodes", "2d-half-out-of-view"])
def test_what_is_called_background_is_not_looked_at(name):
    """Else the test above would show nothing."""
    s = scene(name)
    right, content = s.warped(cpu).value, s.moving.content
    s.moving = s.moving._replace(
        content=_content(np.zeros(s.moving.image.shape, bool)).astype(float)
    )
    assert s.moving.content.shape == content.shape
    value = s.warped(cpu).value
    assert ((value == right) | (value == s.moving.low)).all()
    assert (value == s.moving.low).mean() > 0.1


@both_types
@pytest.mark.parametrize("dimension", [2, 3])
def test_rounding_puts_no_position_beyond_the_border(dimension, dtype):
    """A displacement that undoes a translation: the outermost voxels lie on the border but for
    the last bits of sums."""
    rng = np.random.default_rng(11)
    shape, nodes = ((1, 24, 40), (1, 7, 5)) if dimension == 2 else ((8, 10, 16), (5, 7, 6))
    s = Scene(shape[3 - dimension :], shape[3 - dimension :], nodes[3 - dimension :], dtype)
    for _ in range(200):
        shift = rng.uniform(-3, 3, dimension).astype(dtype)
        linear = np.eye(3, 4).astype(dtype)
        linear[3 - dimension :, 3] = -shift
        s.where = s.where._replace(linear=linear, displacement_matrix=np.eye(3, dtype=dtype))
        s.nodes[3 - dimension :] = shift.reshape(-1, 1, 1, 1)
        value = s.warped(cpu).value
        close(value, s.moving.image, np.float32)  # the weights of the nodes are of this precision
        histogram = cpu.joint_histogram(*s.place(), s.histogram_rows(), Workspace(), 1)
        assert histogram.sum() == pytest.approx(s.counted.sum(), rel=TOLERANCE[np.float32])


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("shift", [4.7, -4.7])
def test_a_field_of_one_sign_that_falls_to_zero_at_the_border(dimension, shift):
    """Along a row it takes values that none of its nodes has."""
    shape, nodes = ((24, 40), (5, 6)) if dimension == 2 else ((9, 14, 16), (4, 4, 3))
    s = Scene(shape, shape, nodes, np.float64, boundary=True)
    image = s.moving.image.copy()
    image[:, : shape[-2] // 2, : shape[-1] // 2] = s.moving.low
    content = _content(image > s.moving.low).astype(float)
    s.moving = s.moving._replace(image=image, content=content)
    linear = np.eye(3, 4)
    linear[3 - dimension :, 3] = -shift
    s.where = s.where._replace(linear=linear, displacement_matrix=np.eye(3))
    s.nodes[3 - dimension :] = shift
    numba, numpy = s.warped(cpu), s.warped(reference)
    np.testing.assert_array_equal(numba.full, numpy.full)
    close(s.weight(numba), s.weight(numpy), np.float64)
    close(numba.value, numpy.value, np.float64)
    table = s.rng.normal(size=(BINS, BINS))
    for name, more in (("joint_histogram", ()), ("backproject_table", (table,))):
        numba, numpy = (
            getattr(b, name)(*s.place(), s.histogram_rows(), *more, Workspace(), 1)
            for b in (cpu, reference)
        )
        close(numba, numpy, np.float64)


@pytest.mark.parametrize("shape", [(7, 9), (5, 6, 4)])
@both_types
def test_read_linear(shape, dtype):
    rng = np.random.default_rng(3)
    image = rng.normal(size=(1,) * (3 - len(shape)) + shape).astype(dtype)
    points = rng.uniform(-1, np.array(shape)[:, None], (len(shape), 500)).astype(dtype)
    points[0, 0], points[1, 1] = np.nan, np.inf
    # the border belongs to the image
    points[:, 3], points[:, 4] = -0.5, np.array(shape) - 0.5
    found = []
    for backend in (cpu, reference):
        out = np.empty(points.shape[1], dtype)
        backend.read_linear(image, points, dtype(7.0), out)
        found.append(out)
    close(*found, dtype)
    assert 0.1 < (found[0] == 7).mean() < 0.9
    assert not (found[0][3:5] == 7).any()
