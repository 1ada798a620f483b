"""The estimate of mutual information: bounds, marginals, slopes."""

import numpy as np
import pytest
from scipy import ndimage

from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.backends.numpy.information import banded
from varreg.options.options import Options
from varreg.similarity.estimator import Estimator, parzen_kernel

from ..problems import central_difference
from .estimates import every_estimator, information, measured, textures


def entropy(density):
    density = density[density > 0]
    return float(-(density * np.log(density)).sum())


def density_of(histogram, options):
    """The Parzen density p of a joint histogram."""
    kernel = Estimator.from_options(options).kernel
    return cpu.smooth_table(histogram, kernel) / histogram.sum()


@pytest.mark.parametrize("bins", [8, 33, 64])
@pytest.mark.parametrize("width", [0.5, 1.0, 3.0])
def test_bounds_and_marginals(bins, width):
    options = Options(bins=bins, kernel_width=width)
    fixed, other = textures()
    for moving in (fixed, other, 1 - fixed**2, np.round(fixed * 3) / 3):
        value, histogram = information(fixed, moving, bins=bins, kernel_width=width)
        density = density_of(histogram, options)
        marginals = density.sum(1), density.sum(0)
        assert density.sum() == pytest.approx(1, rel=1e-12)
        assert 0 <= value <= min(map(entropy, marginals)) <= np.log(bins)
        # MI = H(F) + H(M) - H(F, M): the marginals are those of the joint table
        wanted = entropy(marginals[0]) + entropy(marginals[1]) - entropy(density)
        assert value == pytest.approx(wanted, abs=1e-12)


def test_marginals_are_the_smoothed_marginals_of_the_histogram():
    options = Options()
    _, histogram = information(*textures())
    density = density_of(histogram, options)
    kernel = parzen_kernel(options.bins, options.kernel_width)
    matrix = banded(kernel)
    np.testing.assert_allclose(density.sum(1), matrix @ histogram.sum(1) / histogram.sum())
    np.testing.assert_allclose(density.sum(0), matrix @ histogram.sum(0) / histogram.sum())


def test_more_is_shared_with_itself_than_with_anything_else():
    fixed, other = textures()
    value, histogram = information(fixed, fixed)
    assert value > information(fixed, other)[0]
    assert value > information(fixed, ndimage.gaussian_filter(fixed, 2))[0]
    # with a narrow kernel what is shared with itself is nearly the entropy
    narrow, histogram = information(fixed, fixed, bins=16, kernel_width=0.1)
    density = density_of(histogram, Options(bins=16, kernel_width=0.1))
    assert narrow > 0.6 * entropy(density.sum(1))


@every_estimator
def test_independent_images_share_next_to_nothing(estimator):
    rng = np.random.default_rng(1)
    fixed, moving = rng.random((2, 300, 300))
    value, _ = information(fixed, moving, estimator=estimator, bins=32)
    assert 0 <= value < 0.01
    assert information(fixed, fixed, estimator=estimator, bins=32)[0] > 50 * value


@every_estimator
def test_a_constant_image_shares_nothing(estimator):
    fixed, _ = textures()
    for pair in ((fixed, np.full_like(fixed, 0.3)), (np.full_like(fixed, 0.3), fixed)):
        assert information(*pair, estimator=estimator)[0] == pytest.approx(
            0, abs=1e-4
        )  # the guards


def test_exchanging_the_axes_of_the_table_changes_nothing():
    rng = np.random.default_rng(2)
    histogram = rng.random((40, 40)) * (rng.random((40, 40)) < 0.3)
    windows = Estimator.from_options(Options(similarity="mi", bins=40, estimator="per-pixel"))
    (value, slope), (other, turned) = (
        measured(windows, t, histogram.sum()) for t in (histogram, histogram.T)
    )
    assert value == pytest.approx(other, rel=1e-13)
    np.testing.assert_allclose(slope, turned.T, rtol=1e-10, atol=1e-13)
    kernel = parzen_kernel(40, 0.5)
    (value, ratio), (other, turned) = (
        reference.information(t, kernel) for t in (histogram, histogram.T.copy())
    )
    assert value == pytest.approx(other, rel=1e-13)
    np.testing.assert_allclose(ratio, turned.T, rtol=1e-10, atol=1e-13)


def test_exchanging_the_images_changes_little():
    """Only the spread differs: one image falls into bins, the other is splined over three."""
    fixed, moving = textures()
    moving = 0.7 * moving + 0.3 * fixed**2
    fine = dict(bins=64, kernel_width=1.0)
    here, there = (information(*p, **fine)[0] for p in ((fixed, moving), (moving, fixed)))
    assert here == pytest.approx(there, rel=0.01)
    same = [
        information(*p, estimator="per-pixel", bins=32)[0]
        for p in ((fixed, moving), (moving, fixed))
    ]
    assert same[0] == pytest.approx(same[1], rel=1e-9)


@every_estimator
@pytest.mark.parametrize("total", [1.0, 1.7])
def test_slope_is_the_derivative_of_the_value_by_the_histogram(estimator, total):
    """Of (N / N_F) MI, N = sum H being part of it; `total` x N voxels count."""
    rng = np.random.default_rng(3)
    histogram = rng.random((20, 20)) * (rng.random((20, 20)) < 0.5)
    measure = Estimator.from_options(Options(similarity="mi", bins=20, estimator=estimator))
    count = total * histogram.sum()
    slope = measured(measure, histogram, count)[1]
    for _ in range(20):
        place = tuple(rng.integers(0, 20, 2))
        if histogram[place] < 0.05:
            continue
        direction = np.zeros_like(histogram)
        direction[place] = 1.0
        numeric = central_difference(
            lambda h: measured(measure, h, count)[0], histogram, direction, 1e-4
        )
        assert slope[place] == pytest.approx(numeric, rel=1e-6, abs=1e-9)
    direction = rng.normal(size=histogram.shape) * histogram
    numeric = central_difference(
        lambda h: measured(measure, h, count)[0], histogram, direction, 1e-4
    )
    assert (slope * direction).sum() == pytest.approx(numeric, rel=1e-6)


@pytest.mark.parametrize("total", [1.0, 1.7])
def test_slope_of_stacked_tables_is_the_derivative_of_the_value(total):
    """One region of three is empty, one nearly."""
    rng = np.random.default_rng(3)
    tables = rng.random((3, 20, 20)) * (rng.random((3, 20, 20)) < 0.5)
    tables[1], tables[2, 3:] = 0, 0
    histogram = tables.reshape(60, 20)
    measure = Estimator.from_options(Options(bins=20))
    count = total * histogram.sum()
    slope = measured(measure, histogram, count)[1]
    assert slope.shape == histogram.shape
    assert (slope[20:40] == 0).all()
    for _ in range(4):
        direction = rng.normal(size=histogram.shape) * histogram
        numeric = central_difference(
            lambda h: measured(measure, h, count)[0], histogram, direction, 1e-4
        )
        assert (slope * direction).sum() == pytest.approx(numeric, rel=1e-6)
