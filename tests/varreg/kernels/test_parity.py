"""Numba against NumPy, one against several threads, and the transposes against their forward maps."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from varreg.displacement import axis_table
from varreg.energy import voxel_map
from varreg.kernels import cpu, reference
from varreg.kernels.arrays import Moving, Warped, Windows
from varreg.mutual_information import parzen_kernel

from ..problems import central_difference

TOLERANCE = {np.float64: 1e-12, np.float32: 1e-5}
BINS = 24
WINDOWS = Windows(4, 0.5)
ESTIMATORS = {"fine-histogram": None, "per-pixel": WINDOWS}

CASES = {
    "2d": dict(shape=(17, 22), moving=(19, 20), nodes=(17, 22)),
    "2d-few-nodes": dict(shape=(33, 21), moving=(30, 25), nodes=(5, 4)),
    "2d-zero-boundary": dict(shape=(21, 26), moving=(21, 26), nodes=(6, 7), boundary=True),
    "2d-mask": dict(shape=(18, 23), moving=(21, 19), nodes=(7, 9), mask=True),
    "3d": dict(shape=(9, 11, 8), moving=(10, 9, 9), nodes=(9, 11, 8)),
    "3d-few-nodes": dict(shape=(13, 10, 11), moving=(9, 12, 13), nodes=(4, 3, 5)),
    "3d-mask": dict(shape=(8, 9, 11), moving=(9, 11, 10), nodes=(3, 4, 4), mask=True),
}


class Scene:
    """A moving image, a map that leaves its view on purpose, and a fixed image, all random."""

    def __init__(self, shape, moving, nodes, dtype, cubic, mask=False, boundary=False, seed=0):
        rng = np.random.default_rng(seed)
        d = len(shape)
        self.dtype, self.rng = dtype, rng
        self.shape, size = (1,) * (3 - d) + tuple(shape), (1,) * (3 - d) + tuple(moving)
        span = (2.0, BINS - 3.0) if cubic else (1.0, BINS - 2.0)
        image = rng.uniform(*span, size)
        if cubic:
            for axis in range(3 - d, 3):
                image = ndimage.spline_filter1d(image, 3, axis, mode="mirror")
        weights = np.zeros((0, 0, 0))
        if mask:
            weights = np.clip(ndimage.gaussian_filter(rng.normal(size=size), 1.5) * 6 + 0.5, 0, 1)
        self.moving = Moving(
            image=image.astype(dtype), mask=weights.astype(dtype),
            limit=np.maximum(np.array(size) - 2, 0).astype(dtype),
            box=np.array([(0, 0, 0), np.array(size) - 1]), cubic=cubic,
            low=span[0], high=span[1],
        )  # fmt: skip
        constraint = "zero-boundary" if boundary else "zero-mean"
        tables = [
            axis_table(np.arange(n), n, m, constraint) for n, m in zip(shape, nodes, strict=True)
        ]
        scale = np.array(moving) / np.array(shape)
        linear = np.zeros((d, d + 1))
        linear[:, :-1] = np.diag(scale) + rng.uniform(-0.04, 0.04, (d, d))
        linear[:, -1] = rng.uniform(-0.5, 0.9, d)
        spread = np.diag(scale) + rng.uniform(-0.1, 0.1, (d, d))
        self.where = voxel_map(tables, linear, spread, dtype)
        field = np.zeros((3, *(1,) * (3 - d), *nodes))
        field[3 - d :] = rng.uniform(-0.8, 0.8, (d, *field.shape[1:]))
        self.nodes = field.astype(dtype)
        self.label = rng.integers(0, BINS, self.shape).astype(np.int16)
        self.label[rng.random(self.shape) < 0.2] = -1

    def fixed(self, estimator):
        if ESTIMATORS[estimator] is None:
            return self.label
        value = self.label + self.rng.uniform(-0.49, 0.49, self.shape)
        return np.where(self.label < 0, -1, np.clip(value, 0, BINS - 1)).astype(self.dtype)

    def warped(self, backend, threads=1, nodes=None):
        nodes = self.nodes if nodes is None else nodes
        warped = Warped.empty(self.shape, self.dtype)
        warped.share[...] = np.nan  # only what is defined may be read
        warped.share_slope[...] = np.nan
        backend.warp(self.moving, self.where, nodes, warped, threads)
        return warped

    def rows(self, warped):
        return warped.full.reshape(*self.shape[:2], 1).astype(bool)

    def share(self, warped):
        return np.where(self.rows(warped), 1, warped.share)

    def share_slope(self, warped):
        return np.where(self.rows(warped) | (self.label < 0), 0, warped.share_slope)


def scene(case, dtype=np.float64, cubic=False):
    return Scene(**CASES[case], dtype=dtype, cubic=cubic)


def close(a, b, dtype):
    scale = max(np.abs(b).max(), 1e-3)
    np.testing.assert_allclose(a, b, rtol=0, atol=TOLERANCE[dtype] * scale)


every_case = pytest.mark.parametrize("case", CASES)
both_types = pytest.mark.parametrize("dtype", TOLERANCE, ids=["float64", "float32"])
both_orders = pytest.mark.parametrize("cubic", [False, True], ids=["linear", "cubic"])
both_estimators = pytest.mark.parametrize("estimator", ESTIMATORS)


def test_the_scenes_are_not_trivial():
    shares = np.concatenate([scene(case).share(scene(case).warped(cpu)).ravel() for case in CASES])
    assert (shares == 1).mean() > 0.3
    assert (shares == 0).sum() > 20
    assert ((shares > 0) & (shares < 1)).sum() > 100
    assert any(scene(case).warped(cpu).full.any() for case in CASES)


@every_case
@both_orders
@both_types
def test_warp(case, cubic, dtype):
    s = scene(case, dtype, cubic)
    numba, numpy = s.warped(cpu), s.warped(reference)
    np.testing.assert_array_equal(numba.full, numpy.full)
    close(s.share(numba), s.share(numpy), dtype)
    close(numba.value, numpy.value, dtype)
    assert numba.value.dtype == numpy.value.dtype == dtype


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
    from varreg.kernels.reference_sampling import nearest_inside, positions

    return nearest_inside(positions(s.where, s.nodes, s.shape), s.moving.image.shape)


@every_case
@both_orders
@both_types
def test_push(case, cubic, dtype):
    s = scene(case, dtype, cubic)
    warped = s.warped(reference)
    warped.slope[...] = s.rng.normal(size=s.shape)
    warped.share_slope[...] = s.rng.normal(size=s.shape)
    numba = cpu.push(s.moving, s.where, s.nodes, warped, 1)
    numpy = reference.push(s.moving, s.where, s.nodes, warped, 1)
    assert numba.shape == numpy.shape == s.nodes.shape
    close(numba, numpy, dtype)


@every_case
@both_orders
@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_push_is_the_transposed_derivative_of_warp(case, cubic, backend):
    s = scene(case, cubic=cubic)
    warped = s.warped(backend)
    warped.slope[...] = s.rng.normal(size=s.shape)
    warped.slope[s.share(warped) == 0] = 0  # no value is asked of what is out of view
    warped.share_slope[...] = s.rng.normal(size=s.shape)
    slope, share_slope = warped.slope.copy(), warped.share_slope.copy()
    direction = s.rng.normal(size=s.nodes.shape)
    direction[: 3 - len(CASES[case]["shape"])] = 0

    def forward(t):
        moved = s.warped(backend, nodes=s.nodes + t * direction)
        # rows that leave the view only within the step would not be counted: none do
        return float((slope * moved.value).sum() + (share_slope * s.share(moved)).sum())

    pushed = backend.push(s.moving, s.where, s.nodes, warped, 1)
    along = np.einsum("de,e...->d...", s.where.spread, direction)
    # full rows say nothing of their shares: their shares are 1 around the state as well
    analytic = float((pushed * along).sum())
    numeric = central_difference(forward, 0.0, 1.0, 2e-7)
    assert analytic == pytest.approx(numeric, rel=2e-6, abs=1e-6 * np.abs(pushed).max())


@every_case
@both_estimators
@both_types
def test_joint_histogram(case, estimator, dtype):
    s = scene(case, dtype)
    warped, fixed = s.warped(reference), s.fixed(estimator)
    arguments = fixed, warped, BINS, ESTIMATORS[estimator]
    numba, numpy = (b.joint_histogram(*arguments, 1) for b in (cpu, reference))
    close(numba, numpy, dtype)
    inside = s.share(warped)[s.label >= 0].sum(dtype=float)
    assert numba.sum() == pytest.approx(inside, rel=TOLERANCE[dtype])


@every_case
@both_estimators
@both_types
def test_histogram_slope(case, estimator, dtype):
    s = scene(case, dtype)
    fixed, table = s.fixed(estimator), s.rng.normal(size=(BINS, BINS))
    numba, numpy = s.warped(reference), s.warped(reference)
    for backend, warped in ((cpu, numba), (reference, numpy)):
        backend.histogram_slope(fixed, warped, table, ESTIMATORS[estimator], 1)
    close(numba.slope, numpy.slope, dtype)
    close(s.share_slope(numba), s.share_slope(numpy), dtype)
    assert (numba.slope[s.label < 0] == 0).all()


@pytest.mark.parametrize("case", ["2d", "3d-mask"])
@both_estimators
@pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
def test_histogram_slope_is_the_transposed_derivative(case, estimator, backend):
    s = scene(case)
    fixed, table = s.fixed(estimator), s.rng.normal(size=(BINS, BINS))
    warped = s.warped(backend)
    backend.histogram_slope(fixed, warped, table, ESTIMATORS[estimator], 1)
    value, share = warped.value.copy(), s.share(warped)
    by_value = s.rng.normal(size=s.shape)
    by_share = s.rng.normal(size=s.shape)

    def forward(t):
        moved = Warped.empty(s.shape, np.float64)
        moved.value[...] = np.clip(value + t * by_value, 1, BINS - 2)
        moved.share[...] = share + t * by_share
        histogram = backend.joint_histogram(fixed, moved, BINS, ESTIMATORS[estimator], 1)
        return float((histogram * table).sum())

    free = (value > 1 + 1e-3) & (value < BINS - 2 - 1e-3)
    by_value *= free
    every = Warped.empty(s.shape, np.float64)  # no row is full: all shares count
    every.value[...], every.share[...] = value, share
    backend.histogram_slope(fixed, every, table, ESTIMATORS[estimator], 1)
    analytic = (every.slope * by_value).sum()
    analytic += np.where(fixed < 0, 0, every.share_slope * by_share).sum()
    numeric = central_difference(forward, 0.0, 1.0, 1e-5)
    assert analytic == pytest.approx(numeric, rel=1e-6)
    np.testing.assert_allclose(warped.slope, every.slope, rtol=0, atol=1e-12)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.3])
def test_smooth_table_and_its_transpose(width):
    rng = np.random.default_rng(0)
    table, other = rng.random((2, BINS, BINS))
    kernel = parzen_kernel(BINS, width)
    smoothed = cpu.smooth_table(table, kernel)
    close(smoothed, reference.smooth_table(table, kernel), np.float64)
    transposed = cpu.smooth_table_transposed(other, kernel)
    close(transposed, reference.smooth_table_transposed(other, kernel), np.float64)
    assert (smoothed * other).sum() == pytest.approx((table * transposed).sum(), rel=1e-13)
    assert smoothed.sum() == pytest.approx(table.sum(), rel=1e-13)


@pytest.mark.parametrize("bins, width", [(8, 9.0), (8, 2.0), (16, 100.0)])
def test_a_kernel_wider_than_the_table(bins, width):
    kernel = parzen_kernel(bins, width)
    tables = np.random.default_rng(1).random((3 * bins, bins))
    for name in ("smooth_table", "smooth_table_transposed"):
        numba, numpy = (getattr(b, name)(tables, kernel) for b in (cpu, reference))
        close(numba, numpy, np.float64)


@pytest.mark.parametrize("width", [0.3, 0.7, 2.3])
@pytest.mark.parametrize("regions", [1, 2, 5, 300])
def test_stacked_tables_are_smoothed_one_by_one(regions, width):
    """The same bits as each by itself: empty rows and empty tables too, for any threads."""
    rng = np.random.default_rng(regions)
    tables = rng.random((regions, BINS, BINS)) * (rng.random((regions, BINS, 1)) < 0.4)
    tables[regions // 2 :: 7] = 0
    stacked, kernel = tables.reshape(-1, BINS), parzen_kernel(BINS, width)
    for name in ("smooth_table", "smooth_table_transposed"):
        fast, slow = getattr(cpu, name), getattr(reference, name)
        numba = fast(stacked, kernel)
        assert numba.shape == stacked.shape
        close(numba, slow(stacked, kernel), np.float64)
        alone = np.concatenate([fast(table, kernel) for table in tables])
        assert numba.tobytes() == alone.tobytes()
        assert all(fast(stacked, kernel, t).tobytes() == numba.tobytes() for t in (2, 4))


REGIONS = {"int16": (7, np.int16), "int32": (7, np.int32), "beyond-int16": (1500, np.int32)}


def regional_label(s, regions, dtype):
    """The labels of the scene with a random region in each; the last region is not empty."""
    region = s.rng.integers(0, regions, s.shape)
    region.flat[np.flatnonzero(s.label >= 0)[-1]] = regions - 1
    return np.where(s.label < 0, -1, region * BINS + s.label).astype(dtype)


@pytest.mark.parametrize("case", ["2d", "3d-mask"])
@pytest.mark.parametrize("which", REGIONS)
@both_types
def test_joint_histogram_of_regions(case, which, dtype):
    s = scene(case, dtype)
    regions, kind = REGIONS[which]
    warped, fixed = s.warped(reference), regional_label(s, regions, kind)
    assert (fixed.max() > np.iinfo(np.int16).max) == (which == "beyond-int16")
    numba, numpy = (
        b.joint_histogram(fixed, warped, BINS, None, 1, regions) for b in (cpu, reference)
    )
    assert numba.shape == numpy.shape == (regions * BINS, BINS)
    close(numba, numpy, dtype)
    # the regions together are the histogram of the whole image, and each has its own voxels
    whole = cpu.joint_histogram(s.label, warped, BINS, None, 1)
    np.testing.assert_allclose(numba.reshape(regions, BINS, BINS).sum(0), whole, atol=1e-9)
    for region in (0, regions - 1):
        alone = np.where(fixed // BINS == region, s.label, -1).astype(np.int16)
        table = cpu.joint_histogram(alone, warped, BINS, None, 1)
        np.testing.assert_allclose(numba.reshape(-1, BINS, BINS)[region], table, atol=1e-12)


@pytest.mark.parametrize("case", ["2d", "3d-mask"])
@pytest.mark.parametrize("which", REGIONS)
@both_types
def test_histogram_slope_of_regions(case, which, dtype):
    s = scene(case, dtype)
    regions, kind = REGIONS[which]
    fixed, table = regional_label(s, regions, kind), s.rng.normal(size=(regions * BINS, BINS))
    numba, numpy = s.warped(reference), s.warped(reference)
    for backend, warped in ((cpu, numba), (reference, numpy)):
        backend.histogram_slope(fixed, warped, table, None, 1)
    close(numba.slope, numpy.slope, dtype)
    close(s.share_slope(numba), s.share_slope(numpy), dtype)
    assert (numba.slope[fixed < 0] == 0).all()


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
        share = rng.random((count, width)).astype(dtype)
        share /= share.sum(1, keepdims=True)
        numba = cpu.average_axis(image, axis, start, share, 1)
        numpy = reference.average_axis(image, axis, start, share, 1)
        assert numba.shape == numpy.shape
        assert numba.dtype == numpy.dtype == dtype
        close(numba, numpy, dtype)


LARGE = {  # several blocks of work
    "2d": dict(shape=(260, 251), moving=(255, 249), nodes=(40, 37)),
    "3d-mask": dict(shape=(41, 47, 53), moving=(43, 45, 50), nodes=(14, 11, 12), mask=True),
}


@pytest.mark.parametrize("case", LARGE)
@both_estimators
@both_orders
def test_any_number_of_threads_gives_the_same_bits(case, estimator, cubic):
    s = Scene(**LARGE[case], dtype=np.float32, cubic=cubic)
    fixed, table = s.fixed(estimator), s.rng.normal(size=(BINS, BINS))

    def everything(threads):
        warped = s.warped(cpu, threads)
        windows = ESTIMATORS[estimator]
        histogram = cpu.joint_histogram(fixed, warped, BINS, windows, threads)
        cpu.histogram_slope(fixed, warped, table, windows, threads)
        pushed = cpu.push(s.moving, s.where, s.nodes, warped, threads)
        arrays = [warped.value, s.share(warped), histogram, warped.slope, pushed]
        return [a.tobytes() for a in [*arrays, s.share_slope(warped)]]

    one = everything(1)
    assert everything(2) == one
    assert everything(4) == one
    assert everything(2) == one


@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("which", REGIONS)
def test_any_number_of_threads_gives_the_same_bits_with_regions(case, which):
    s = Scene(**LARGE[case], dtype=np.float32, cubic=False)
    regions, kind = REGIONS[which]
    fixed, kernel = regional_label(s, regions, kind), parzen_kernel(BINS, 0.7)

    def everything(threads):
        warped = s.warped(cpu, threads)
        histogram = cpu.joint_histogram(fixed, warped, BINS, None, threads, regions)
        smooth = cpu.smooth_table(histogram, kernel, threads)
        table = cpu.smooth_table_transposed(smooth, kernel, threads)
        cpu.histogram_slope(fixed, warped, table, None, threads)
        return [a.tobytes() for a in (histogram, smooth, table, warped.slope)]

    one = everything(1)
    assert all(everything(threads) == one for threads in (2, 4, 2))


@pytest.mark.parametrize("shape", [(190, 181), (29, 37, 31)])
def test_any_number_of_threads_finds_the_same_bound_and_average(shape):
    rng = np.random.default_rng(5)
    field = 0.3 * rng.normal(size=(len(shape), *shape))
    spacing = np.full(len(shape), 1.5)
    image = rng.random(shape)
    start, share = np.arange(0, shape[0] - 2, 2), np.full((len(range(0, shape[0] - 2, 2)), 2), 0.5)
    bounds = [cpu.determinant_bound(field, spacing, threads) for threads in (1, 2, 4)]
    averages = [cpu.average_axis(image, 0, start, share, threads) for threads in (1, 2, 4)]
    assert bounds[0] == bounds[1] == bounds[2]
    assert averages[0].tobytes() == averages[1].tobytes() == averages[2].tobytes()


@pytest.mark.parametrize("case", [case for case in CASES if not CASES[case].get("mask")])
def test_a_row_that_meets_only_background_is_skipped_without_a_trace(case):
    s = scene(case)
    size = s.moving.image.shape
    inside = np.zeros(size, bool)
    inside[tuple(slice(n // 3, n // 3 + 2) if n > 1 else slice(None) for n in size)] = True
    image = np.where(inside, s.moving.image, s.moving.low)
    place = np.argwhere(inside)
    found = []
    for box in (s.moving.box, np.array([place.min(0), place.max(0)])):
        s.moving = s.moving._replace(image=image, box=box)
        warped = s.warped(cpu)
        slopes = np.random.default_rng(1).normal(size=(2, *s.shape))
        warped.slope[...], warped.share_slope[...] = slopes
        push = cpu.push(s.moving, s.where, s.nodes, warped, 1).copy()
        found.append((warped.value, warped.full, s.share(warped), push))
    assert (found[0][0] == s.moving.low).mean() > 0.5
    for whole, tight in zip(*found, strict=True):
        np.testing.assert_array_equal(whole, tight)
