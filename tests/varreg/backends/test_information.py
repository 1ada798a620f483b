"""Tables of all regions: smoothing, its transpose, and mutual information, Numba against NumPy."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.backends.numba.information import banded, region_information
from varreg.backends.numpy import backend as reference
from varreg.similarity.estimator import parzen_kernel

from ..problems import central_difference

BINS = 24
both_backends = pytest.mark.parametrize("backend", [cpu, reference], ids=["cpu", "reference"])
many_regions = pytest.mark.parametrize("regions", [1, 2, 5, 300])


def close(a, b):
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-12 * max(np.abs(b).max(), 1e-3))


def sparse_tables(regions):
    """Tables with empty rows; the one in the middle and every seventh from there on are empty."""
    rng = np.random.default_rng(regions)
    tables = rng.random((regions, BINS, BINS)) * (rng.random((regions, BINS, 1)) < 0.4)
    if regions > 1:
        tables[regions // 2 :: 7] = 0
    return tables


def information(backend, table, kernel):
    """Sum over regions of N MI, and its derivative by the smoothed tables, of stacked tables."""
    if backend is reference:
        return reference.information(table, kernel)
    stack = np.ascontiguousarray(table).reshape(-1, table.shape[1], table.shape[1])
    ratio, regions = np.full(stack.shape, np.nan), len(stack)
    mass, value = np.empty((2, regions))
    tiles, total = np.arange(regions + 1), stack.sum((1, 2))
    region_information(0, regions, stack, 1, tiles, banded(kernel), mass, value, ratio)
    np.testing.assert_allclose(mass, total, rtol=1e-13)
    return value.sum(), ratio.reshape(table.shape)


def mutual_information(weight):
    """N MI of one table: the definition, cell by cell."""
    total, value = weight.sum(), 0.0
    for f, m in np.argwhere(weight > 0):
        p, fixed, moving = weight[f, m], weight[f].sum(), weight[:, m].sum()
        value += p * np.log(p * total / (fixed * moving))
    return value


@pytest.mark.parametrize("width", [0.5, 1.0, 2.3])
def test_smooth_table_and_its_transpose(width):
    rng = np.random.default_rng(0)
    table, other = rng.random((2, BINS, BINS))
    kernel = parzen_kernel(BINS, width)
    smoothed = cpu.smooth_table(table, kernel)
    close(smoothed, reference.smooth_table(table, kernel))
    transposed = cpu.smooth_table_transposed(other, kernel)
    close(transposed, reference.smooth_table_transposed(other, kernel))
    assert (smoothed * other).sum() == pytest.approx((table * transposed).sum(), rel=1e-13)
    assert smoothed.sum() == pytest.approx(table.sum(), rel=1e-13)


@pytest.mark.parametrize("bins, width", [(8, 9.0), (8, 2.0), (16, 100.0)])
def test_a_kernel_wider_than_the_table(bins, width):
    kernel = parzen_kernel(bins, width)
    tables = np.random.default_rng(1).random((3 * bins, bins))
    for name in ("smooth_table", "smooth_table_transposed"):
        numba, numpy = (getattr(b, name)(tables, kernel) for b in (cpu, reference))
        close(numba, numpy)


@pytest.mark.parametrize("width", [0.3, 0.7, 2.3])
@many_regions
def test_stacked_tables_are_smoothed_one_by_one(regions, width):
    """The same bits as each by itself: empty rows and empty tables too."""
    tables = sparse_tables(regions)
    stacked, kernel = tables.reshape(-1, BINS), parzen_kernel(BINS, width)
    for name in ("smooth_table", "smooth_table_transposed"):
        fast, slow = getattr(cpu, name), getattr(reference, name)
        numba = fast(stacked, kernel)
        assert numba.shape == stacked.shape
        close(numba, slow(stacked, kernel))
        alone = np.concatenate([fast(table, kernel) for table in tables])
        assert numba.tobytes() == alone.tobytes()


@pytest.mark.parametrize("width", [0.3, 0.7, 2.3])
@many_regions
def test_information_against_the_reference(regions, width):
    tables, kernel = sparse_tables(regions).reshape(-1, BINS), parzen_kernel(BINS, width)
    (value, ratio), (other, slow) = (information(b, tables, kernel) for b in (cpu, reference))
    assert value == pytest.approx(other, rel=1e-12)
    assert ratio.shape == slow.shape == tables.shape
    close(ratio, slow)


@both_backends
@pytest.mark.parametrize("width", [0.3, 2.3])
@pytest.mark.parametrize("regions", [1, 2, 5])
def test_information_is_the_sum_over_regions_of_what_it_is_called(backend, regions, width):
    tables, kernel = sparse_tables(regions), parzen_kernel(BINS, width)
    value, ratio = information(backend, tables.reshape(-1, BINS), kernel)
    weights = [reference.smooth_table(table, kernel) for table in tables]
    assert value == pytest.approx(sum(map(mutual_information, weights)), rel=1e-12)
    assert value > 0
    # N MI = sum of weight times log(p / (p_F p_M)), which is also its derivative
    weights = np.concatenate(weights)
    assert value == pytest.approx((weights * ratio).sum(), rel=1e-12)
    assert (ratio[weights == 0] == 0).all()


@both_backends
def test_the_ratio_is_the_derivative_by_the_smoothed_table(backend):
    rng = np.random.default_rng(1)
    tables, identity = rng.random((3 * BINS, BINS)) + 0.1, np.ones((BINS, 1))
    direction = rng.normal(size=tables.shape)
    ratio = information(backend, tables, identity)[1].copy()

    def value(t):
        return information(backend, tables + t * direction, identity)[0]

    numeric = central_difference(value, 0.0, 1.0, 1e-4)
    assert (ratio * direction).sum() == pytest.approx(numeric, rel=1e-8)


@both_backends
def test_regions_without_weight_share_nothing(backend):
    kernel, tables = parzen_kernel(BINS, 0.7), sparse_tables(5)
    empty = np.zeros((2, BINS, BINS))
    value, ratio = information(backend, empty.reshape(-1, BINS), kernel)
    assert value == 0
    assert (ratio == 0).all()
    some = information(backend, tables.reshape(-1, BINS), kernel)[0]
    more = np.concatenate([empty, tables, empty]).reshape(-1, BINS)
    value, ratio = information(backend, more, kernel)
    assert value == pytest.approx(some, rel=1e-14)
    assert (ratio.reshape(-1, BINS, BINS)[[0, 1, -2, -1]] == 0).all()


@both_backends
def test_independent_tables_share_nothing_and_diagonal_ones_their_entropy(backend):
    rng, identity = np.random.default_rng(2), np.ones((BINS, 1))
    fixed, moving = rng.random((2, BINS))
    product, diagonal = np.outer(fixed, moving), np.diag(fixed)
    value, ratio = information(backend, product, identity)
    assert value == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(ratio, 0, atol=1e-12)
    entropy = -(fixed * np.log(fixed / fixed.sum())).sum()
    assert information(backend, diagonal, identity)[0] == pytest.approx(entropy)


@pytest.mark.parametrize("bins, width", [(8, 9.0), (16, 100.0)])
def test_information_with_a_kernel_wider_than_the_table(bins, width):
    kernel, tables = parzen_kernel(bins, width), np.random.default_rng(3).random((3 * bins, bins))
    (value, ratio), (other, slow) = (information(b, tables, kernel) for b in (cpu, reference))
    assert value == pytest.approx(other, rel=1e-9, abs=1e-12 * tables.sum())
    np.testing.assert_allclose(ratio, slow, rtol=0, atol=1e-12)  # a difference of logarithms
