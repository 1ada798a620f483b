"""Images of several tiles, one against several threads, and what kernels may leave out: Numba against NumPy."""

import itertools

import numpy as np
import pytest

from varreg.backends.arrays import Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.similarity.estimator import parzen_kernel
from varreg.similarity.volumes import _content

from .scenes import (
    BINS,
    CASES,
    TOLERANCE,
    WINDOWS,
    Scene,
    both_orders,
    both_types,
    close,
    every_case,
    every_label,
    scene,
    tables,
)

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
