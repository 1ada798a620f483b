"""Mutual information as a number: bounds, invariances, the parent paper's formula, its derivative."""

import numpy as np
import pytest
from scipy import ndimage

import varreg
from varreg.backends.arrays import Warped, Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.data.phantom.pairs import deformed_pair
from varreg.energy.affine import AffineObjective
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.estimator import Estimator, parzen_kernel
from varreg.similarity.histogram_rows import histogram_rows
from varreg.similarity.mutual_information import MutualInformation

from ..problems import central_difference, smooth_image

ESTIMATORS = ["fine-histogram", "per-pixel"]
both_backends = pytest.mark.parametrize("kernels", [cpu, reference], ids=["cpu", "reference"])
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


def entropy(density):
    density = density[density > 0]
    return float(-(density * np.log(density)).sum())


def similarity_of(fixed, moving, dtype=np.float64, fixed_mask=None, moving_mask=None, **options):
    """The similarity of two images on one grid of 1 mm, of the whole image."""
    images = [
        LevelImage(image, mask, Grid.with_spacing(image.shape))
        for image, mask in ((fixed, fixed_mask), (moving, moving_mask))
    ]
    return MutualInformation(*images, Options(similarity="mi", **options), cpu, 1, dtype)


def information(fixed, moving, shift=(0.0, 0.0), **options):
    """(similarity, joint histogram) of two images, one shifted by `shift` voxels."""
    problem = similarity_of(fixed, moving, **options)
    matrix = np.eye(3)
    matrix[:-1, -1] = shift
    value = AffineObjective(problem, "translation").evaluate(matrix).energy.similarity
    return value, histogram_of(problem)


def histogram_of(problem):
    """The joint histogram where the nodes were last."""
    place, estimator = (problem.moving, *problem.place), problem.estimator
    if estimator.windows is None:
        return cpu.joint_histogram(*place, problem.rows, Workspace(), 1)
    warped = Warped.empty(problem.fixed.shape, problem.dtype)
    cpu.warp(*place, warped, 1)
    return cpu.windowed_histogram(problem.fixed, warped, estimator.bins, estimator.windows, 1)


def measured(estimator, histogram, total):
    """(mutual information of a histogram, its derivative) by either estimator."""
    if estimator.kernel is None:
        value, _, slope = estimator.of_histogram(histogram, total)
        return value, slope
    value, ratio = reference.information(histogram, estimator.kernel)
    slope = reference.smooth_table_transposed(ratio, estimator.kernel)
    return value / total, slope / total


def density_of(histogram, options):
    """The Parzen density p of a joint histogram."""
    kernel = Estimator.from_options(options).kernel
    return cpu.smooth_table(histogram, kernel) / histogram.sum()


def textures(seed=0, shape=(60, 70)):
    rng = np.random.default_rng(seed)
    return smooth_image(shape, rng, 4.0), smooth_image(shape, rng, 4.0)


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
    matrix = reference._banded(kernel)
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


def dense_information(fixed, moving, bins=100, guard=1e-7):
    """The parent paper's mutual information, with its N x B tables of windows (cfir.md)."""
    centre = np.linspace(0, 1, bins)
    factor = 1 / (2 * np.mean(np.diff(centre)) ** 2)
    windows = []
    for image in (fixed, moving):
        distance = np.clip(image.reshape(-1, 1), 0, 1) - centre
        weight = np.exp(-factor * distance**2)
        windows.append(weight / weight.sum(1, keepdims=True))
    joint = windows[0].T @ windows[1] / fixed.size
    product = windows[0].mean(0)[:, None] * windows[1].mean(0)
    return float((joint * np.log(joint / (product + guard) + guard)).sum())


def test_per_pixel_estimator_is_the_parent_papers_formula():
    rng = np.random.default_rng(6)
    fixed, moving = textures()
    for noise in (0.0, 0.2):
        other = np.clip(moving + noise * rng.normal(size=moving.shape), 0, 1)
        options = Options.preset("cfir")
        value, _ = information(
            fixed, other, estimator=options.estimator, bins=options.bins,
            kernel_width=options.kernel_width,
        )  # fmt: skip
        assert value == pytest.approx(dense_information(fixed, other), abs=1e-6)


def test_preset_cfir_reports_the_parent_papers_number():
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    result = varreg.solve(
        pair.moving * 1.2 - 0.1, pair.fixed, preset="cfir", affine=None, deformable=False, threads=1
    )
    wanted = dense_information(pair.fixed.astype(float), (pair.moving * 1.2 - 0.1).astype(float))
    assert result.energy.similarity == pytest.approx(wanted, rel=1e-5)


SMALL = dict(affine=None, threads=1, levels=(2, 1), iterations=(6, 4))


def test_brightness_and_contrast_do_not_matter():
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    plain = varreg.solve(pair.moving, pair.fixed, **SMALL)
    for a, b in ((2.0, 0.0), (0.25, -8.0), (4096.0, 1024.0)):
        scaled = varreg.solve(a * pair.moving + b, pair.fixed * 8 - 2, **SMALL)
        assert scaled.energy.similarity == pytest.approx(plain.energy.similarity, rel=1e-3)
        assert np.abs(scaled.u - plain.u).max() < 0.05


def test_powers_of_two_change_no_bit():
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    plain = varreg.solve(pair.moving, pair.fixed, **SMALL)
    scaled = varreg.solve(pair.moving * 1024, pair.fixed / 16, **SMALL)
    np.testing.assert_array_equal(scaled.u, plain.u)
    assert scaled.energy == plain.energy


def test_an_inverted_image_shares_nearly_as_much():
    fixed, moving = textures()
    moving = 0.5 * moving + 0.5 * fixed
    plain, inverted = (information(fixed, m)[0] for m in (moving, 1 - moving))
    assert inverted == pytest.approx(plain, rel=1e-9)
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    plain, inverted = (
        varreg.solve(
            moving, pair.fixed, affine=None, deformable=False, threads=1,
            fixed_range=(0, 1), moving_range=(0, 1),
        )
        for moving in (pair.moving, 1 - pair.moving)
    )  # fmt: skip
    assert inverted.energy.similarity == pytest.approx(plain.energy.similarity, rel=1e-5)


@every_estimator
def test_what_is_out_of_view_leaves_all_densities(estimator):
    """The estimate of a shifted pair is that of the two overlapping parts alone, times their share."""
    fixed, moving = textures(shape=(40, 50))
    shift = 12
    # the shifted rows 28..39 are beyond the moving image; the first of them has weight 0 already
    value, histogram = information(fixed, moving, (shift, 0), estimator=estimator)
    part, inner = information(fixed[:-shift], moving[shift:], estimator=estimator)
    np.testing.assert_allclose(histogram, inner, atol=1e-9)
    assert value == pytest.approx(part * (40 - shift) / 40, rel=1e-9)


@every_estimator
def test_a_masked_voxel_counts_as_little_as_one_that_is_not_there(estimator):
    fixed, moving = textures(shape=(40, 50))
    mask = np.zeros(fixed.shape, bool)
    mask[:25] = True
    value, _ = information(fixed, moving, fixed_mask=mask, estimator=estimator)
    part, _ = information(fixed[:25], moving[:25], estimator=estimator)
    assert value == pytest.approx(part, rel=1e-12)
    share = mask.astype(float)
    other, _ = information(fixed, moving, moving_mask=share, estimator=estimator)
    assert other == pytest.approx(part * 25 / 40, rel=1e-12)


def test_leaving_the_view_is_no_way_to_gain():
    """A brain on a wide background: shifting the background out raises MI of what is left in view,
    but not the similarity, which is why it carries the share in view."""
    phantom = deformed_pair((64, 64), np.random.default_rng(0), affine=False, displacement_rms=0.0)
    fixed, moving = (
        np.pad(i, ((96, 0), (0, 0))).astype(float) for i in (phantom.fixed, phantom.moving)
    )
    shifts = np.arange(0, 97, 8)  # the fixed image is cut with the moving one: both stay aligned
    similarity, in_view = [], []
    for cut in shifts:
        # the moving image lacks its first `cut` rows of background; what is left stays in place
        images = (
            LevelImage(fixed, None, Grid.with_spacing(fixed.shape)),
            LevelImage(moving[cut:], None, Grid(moving[cut:].shape, shifted(cut))),
        )
        problem = MutualInformation(*images, Options(), cpu, 1, np.float64)
        value = AffineObjective(problem, "translation").evaluate(np.eye(3)).energy.similarity
        histogram = histogram_of(problem)
        similarity.append(value)
        in_view.append(value * fixed.size / histogram.sum())
    assert (np.diff(in_view) > 0).all()  # this is the temptation
    assert (np.diff(similarity) < 1e-12).all()


def shifted(rows):
    matrix = np.eye(3)
    matrix[0, 2] = rows
    return matrix


@every_estimator
def test_without_any_voxel_in_view_nothing_is_shared(estimator):
    measure = Estimator.from_options(Options(similarity="mi", bins=16, estimator=estimator))
    value, slope = measured(measure, np.zeros((16, 16)), 10.0)
    assert value == 0
    assert (slope == 0).all()


@every_estimator
def test_the_last_voxels_in_view_share_ever_less(estimator):
    """Towards no view at all the similarity falls to zero: no jump where nothing is left."""
    rng = np.random.default_rng(4)
    histogram = rng.random((16, 16))
    measure = Estimator.from_options(Options(similarity="mi", bins=16, estimator=estimator))
    total = histogram.sum()
    full = measured(measure, histogram, total)[0]
    for share in (0.1, 1e-3, 1e-9):
        value = measured(measure, share * histogram, total)[0]
        assert value == pytest.approx(share * full, rel=1e-9)


@pytest.mark.parametrize("width", [0.2, 1.0, 7.5])
def test_every_column_of_the_parzen_matrix_keeps_its_mass(width):
    kernel = parzen_kernel(32, width)
    np.testing.assert_allclose(kernel.sum(1), 1, rtol=1e-14)
    matrix = reference._banded(kernel)
    np.testing.assert_allclose(matrix.sum(0), 1, rtol=1e-14)
    assert (matrix >= 0).all()
    # away from the ends a Gaussian of that width
    column = matrix[:, 16]
    offset = np.arange(32) - 16
    inside = np.abs(offset) <= 2 * width
    wanted = np.exp(-0.5 * (offset / width) ** 2)
    np.testing.assert_allclose(column[inside] / column[16], wanted[inside], rtol=1e-12)


@every_estimator
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_intensities_fill_the_bins_and_nothing_beyond(estimator, interpolation):
    """Every weight is in the table, whole, also that of the lowest and of the highest intensity."""
    image = np.linspace(0, 1, 101 * 3).reshape(3, 101)
    problem = similarity_of(image, image, estimator=estimator, interpolation=interpolation)
    measure = problem.estimator
    values = measure.to_bins(image, image.dtype)
    assert (values[0, 0], values[-1, -1]) == measure.span
    AffineObjective(problem, "translation").evaluate(np.eye(3))
    table = histogram_of(problem)
    assert table.sum() == pytest.approx(image.size, rel=1e-12)
    if estimator == "fine-histogram":
        used = np.flatnonzero(table.sum(1))
        assert (used[0], used[-1]) == measure.span
        np.testing.assert_array_equal(np.diff(used), 1)
        bins = problem.rows.row
        np.testing.assert_array_equal(bins[0], np.floor(values + 0.5))
        masked = similarity_of(image, image, fixed_mask=image > 0.5, interpolation=interpolation)
        np.testing.assert_array_equal(masked.rows.row, np.where(image > 0.5, bins, -1))


def test_the_bin_of_a_voxel_is_that_of_its_label():
    """The table of an image with itself where the middles of bins are: one spline per bin."""
    measure = Estimator.from_options(Options(bins=16))
    low, high = measure.span
    levels = np.arange(int(low), int(high) + 1)
    image = np.repeat((levels - low) / (high - low), 8).reshape(len(levels), 8)
    problem = similarity_of(image, image, bins=16)
    fixed = histogram_rows(np.repeat(levels, 8).reshape(1, -1, 8), 16, (1, 1, 1), None)
    np.testing.assert_array_equal(problem.rows.row, fixed.row)
    AffineObjective(problem, "translation").evaluate(np.eye(3))
    wanted = 8 * sum(
        weight * np.diag(np.isin(np.arange(16), levels).astype(float)) @ np.eye(16, k=offset)
        for offset, weight in ((-1, 0.125), (0, 0.75), (1, 0.125))
    )
    np.testing.assert_allclose(histogram_of(problem), wanted, atol=1e-12)
