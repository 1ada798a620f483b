"""The estimate of mutual information: the parent paper, contrast, view, bins."""

import numpy as np
import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy.information import banded
from varreg.data.phantom.pairs import deformed_pair
from varreg.energy.affine import AffineObjective
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.estimator import Estimator, parzen_kernel
from varreg.similarity.histogram_rows import histogram_rows
from varreg.similarity.mutual_information import MutualInformation

from .estimates import every_estimator, histogram_of, information, measured, similarity_of, textures


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
    matrix = banded(kernel)
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
