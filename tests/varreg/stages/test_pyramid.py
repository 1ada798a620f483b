"""Image levels: averages that keep what they should, factors, anisotropy, intensities."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.geometry.grid import Grid
from varreg.images.intensities import robust_range, unit_intensities
from varreg.images.level_image import LevelImage, coarsen, level_shape
from varreg.options.options import Options
from varreg.options.presets import BY_REGULARITY
from varreg.stages.pyramid import (
    LENGTH_SHARE,
    NODES_PER_LENGTH,
    iteration_budget,
    level_factors,
    node_shape,
    smoothness_length,
    smoothness_order,
    smoothness_weight,
    volume_weight,
)

SHAPES = [(24, 36), (23, 31), (17, 40), (12, 15, 18), (11, 13, 10)]


def sampled(shape, spacing=None, mask=None, seed=0):
    data = np.random.default_rng(seed).random(shape)
    return LevelImage(data, mask, Grid.with_spacing(shape, spacing or (1.0,) * len(shape)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1.0, 1.5, 2.0, 3.7, 4.0])
def test_averages_keep_the_mean_and_the_field_of_view(shape, factor):
    image = sampled(shape)
    coarse = coarsen(image, factor, cpu, 1)
    assert coarse.data.mean() == pytest.approx(image.data.mean(), rel=1e-12)
    np.testing.assert_allclose(coarse.grid.extent, image.grid.extent, rtol=1e-12)
    np.testing.assert_allclose(coarse.grid.centre, image.grid.centre, atol=1e-12)
    assert coarse.data.shape == coarse.grid.shape
    assert image.data.min() <= coarse.data.min() <= coarse.data.max() <= image.data.max()


@pytest.mark.parametrize("shape, factor", [((24, 36), 2.0), ((24, 36), 3.0), ((12, 16, 20), 4.0)])
def test_a_linear_ramp_stays_where_it_is_in_world_space(shape, factor):
    assert shift_of_a_ramp(shape, factor) < 1e-12


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("factor", [1.4, 2.0, 3.3])
def test_voxels_that_are_cut_shift_nothing_by_a_quarter_of_their_size(shape, factor):
    assert shift_of_a_ramp(shape, factor) < 0.25 * len(shape)


def shift_of_a_ramp(shape, factor):
    """Largest distance (voxels, summed over the axes) a ramp has moved on a coarser grid."""
    grid = Grid.with_spacing(shape)
    ramp = grid.coordinates().sum(0)
    coarse = coarsen(LevelImage(ramp, None, grid), factor, cpu, 1)
    wanted = coarse.grid.voxel_to_world(coarse.grid.coordinates()).sum(0)
    return np.abs(coarse.data - wanted).max()


def test_even_factors_average_blocks():
    image = sampled((8, 12))
    coarse = coarsen(image, 4.0, cpu, 1).data
    np.testing.assert_allclose(coarse, image.data.reshape(2, 4, 3, 4).mean((1, 3)), rtol=1e-14)


def test_the_full_resolution_is_not_copied():
    image = sampled((20, 21))
    assert coarsen(image, 1.0, cpu, 1) is image


@pytest.mark.parametrize(
    "shape, factors",
    [
        ((224, 224), (4, 2, 1)),
        ((240, 240, 155), (4, 2, 1)),
        ((56, 56), (1,)),
        ((112, 112), (2, 1)),
        ((16, 16), (1,)),
        ((512, 512), (8, 4, 2, 1)),
    ],
)
def test_factors(shape, factors):
    grid = Grid.with_spacing(shape)
    assert level_factors(grid, Options()) == factors
    typical = np.exp(np.mean(np.log(np.array(shape) / factors[0])))
    assert typical < 80
    assert level_factors(grid, Options(levels=(3, 1))) == (3, 1)


def test_factors_do_not_depend_on_the_unit_of_length():
    for spacing in (0.001, 1.0, 1000.0):
        grid = Grid.with_spacing((224, 224), spacing)
        assert level_factors(grid, Options()) == (4, 2, 1)
        assert level_shape(grid, 4 * spacing) == (56, 56)


def test_anisotropic_grids_are_brought_towards_isotropy():
    grid = Grid.with_spacing((256, 256, 24), (0.9, 0.9, 6.0))
    spread = []
    for factor in level_factors(grid, Options())[::-1]:
        spacing = grid.resized(level_shape(grid, factor * 0.9)).spacing
        spread.append(spacing.max() / spacing.min())
    assert spread[0] == pytest.approx(6 / 0.9)
    assert all(b < a for a, b in zip(spread, spread[1:], strict=False))
    assert level_shape(grid, 6.0) == (38, 38, 24)  # the thick axis is not refined, nor coarsened
    assert level_shape(grid, 1e9) == (2, 2, 2)


def test_masked_averages_do_not_bleed():
    """What is outside the mask may hold anything: the levels inside stay the same."""
    rng = np.random.default_rng(1)
    mask = np.zeros((21, 26), bool)
    mask[4:15, 7:20] = True
    image = sampled((21, 26), mask=mask)
    spoilt = LevelImage(np.where(mask, image.data, rng.random(mask.shape)), mask, image.grid)
    for factor in (1.7, 2.0, 4.0):
        here, there = (coarsen(i, factor, cpu, 1) for i in (image, spoilt))
        np.testing.assert_array_equal(here.data, there.data)
        np.testing.assert_array_equal(here.mask, there.mask)
        assert here.mask.mean() == pytest.approx(mask.mean(), rel=1e-12)
        assert (here.mask > 0).any() and (here.mask == 0).any()
        total = (here.data * here.mask).mean()
        assert total == pytest.approx((image.data * mask).mean(), rel=1e-9)


def test_a_constant_image_stays_constant_inside_its_mask():
    mask = np.random.default_rng(2).random((19, 23, 18)) > 0.7
    image = LevelImage(np.full(mask.shape, 0.4), mask, Grid.with_spacing(mask.shape))
    coarse = coarsen(image, 2.0, cpu, 1)
    np.testing.assert_allclose(coarse.data[coarse.mask > 1e-6], 0.4, rtol=1e-12)


def test_limits_become_zero_and_one():
    data = np.array([[-5.0, 10.0], [20.0, 35.0]], np.float32)
    unit = unit_intensities(data, (10.0, 20.0))
    np.testing.assert_array_equal(unit, [[0, 0], [1, 1]])
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit_intensities(data, (-5.0, 35.0))[0, 1], 15 / 40)


def test_the_range_ignores_outliers_and_background():
    rng = np.random.default_rng(3)
    head = rng.uniform(100, 200, 20_000)
    data = np.zeros(200_000, np.float32)
    data[:20_000] = head
    low, high = robust_range(data)
    assert low == 0
    # 99.8 percentile of the head, not of all voxels
    assert high == pytest.approx(np.percentile(head, 99.8), rel=1e-6)
    data[5] = 1e4  # a hot voxel
    assert robust_range(data)[1] == pytest.approx(high, rel=0.01)


def test_the_range_of_few_different_values():
    spike = np.zeros((50, 50), np.float32)
    spike[20, 20] = 3.0
    assert robust_range(spike) == (0.0, 3.0)
    blocks = np.where(np.arange(2500).reshape(50, 50) < 5, 7.0, 8.0).astype(np.float32)
    low, high = robust_range(blocks)
    assert (low, high) == (7.0, 8.0)


def test_intensities_are_invariant_to_scale_and_offset():
    data = np.random.default_rng(4).gamma(2.0, size=(60, 70)).astype(np.float32)
    unit = unit_intensities(data, None)
    assert unit.min() == 0 and unit.max() == 1
    for a, b in ((8.0, 0.0), (1000.0, -300.0), (1e-6, 0.0), (1e6, 5e5)):
        np.testing.assert_allclose(unit_intensities(a * data + b, None), unit, atol=2e-5)


def test_nodes_and_length():
    grid = Grid.with_spacing((200, 100), 1.0)
    assert smoothness_length(grid, Options()) == pytest.approx(LENGTH_SHARE * np.sqrt(200 * 100))
    assert smoothness_length(grid, Options(smoothness_length=3)) == 3
    assert node_shape(grid, Options(smoothness_length=10.0 * NODES_PER_LENGTH)) == (20, 10)
    assert node_shape(grid, Options(smoothness_length=0.0)) == (200, 100)
    assert node_shape(grid, Options(smoothness_length=1.0)) == (200, 100)
    assert node_shape(grid, Options(smoothness_length=1e9)) == (2, 2)


@pytest.mark.parametrize("shape", [(224, 224), (181, 97), (193, 229, 193), (150, 131, 24)])
@pytest.mark.parametrize("length", [None, 0.5, 2.0, 7.3, 11.0, 40.0])
def test_nodes_are_at_most_a_length_apart_and_good_for_fourier_transforms(shape, length):
    grid = Grid.with_spacing(shape, (1.0, 0.9, 2.5)[: len(shape)])
    options = Options(smoothness_length=length)
    apart = max(smoothness_length(grid, options) / NODES_PER_LENGTH, grid.spacing.min())
    nodes = node_shape(grid, options)
    for n, voxels, extent, spacing in zip(nodes, shape, grid.extent, grid.spacing, strict=True):
        assert 2 <= n <= voxels
        # as near to the distance as whole numbers come, or the voxels themselves
        assert n == voxels or extent / n <= apart * (1 + 0.5 / n)
        assert n == voxels or largest_prime(n) <= 5
        assert n == voxels or n < 1.2 * extent / apart + 3  # and not many more than it takes
        assert extent / n >= spacing * (1 - 1e-9)


def largest_prime(n):
    return max(p for p in range(2, n + 1) if n % p == 0 and all(p % q for q in range(2, p)))


@pytest.mark.parametrize("spacing", [0.001, 1.0, 1000.0])
def test_nodes_do_not_depend_on_the_unit_of_length(spacing):
    grids = Grid.with_spacing((224, 181), 1.0), Grid.with_spacing((224, 181), spacing)
    assert len({node_shape(grid, Options()) for grid in grids}) == 1


def test_budget_per_level():
    pair = Options(iterations=(9, 5))
    assert [iteration_budget(pair, k, 4, 2) for k in range(4)] == [9, 5, 5, 5]
    assert [iteration_budget(pair, k, 1, 2) for k in range(1)] == [5]
    assert [iteration_budget(Options(iterations=7), k, 2, 3) for k in range(2)] == [7, 7]
    for dimension in (2, 3):
        for regularity, numbers in BY_REGULARITY.items():
            options, wanted = Options(regularity=regularity), numbers[dimension]
            budget = [iteration_budget(options, k, 3, dimension) for k in range(3)]
            assert tuple(budget) == wanted["iterations"]
            assert smoothness_weight(options, dimension) == wanted["smoothness_weight"]
            assert smoothness_order(options, dimension) == wanted["smoothness_order"]
            assert volume_weight(options, dimension) == wanted["volume_weight"]
        assert smoothness_weight(Options(smoothness_weight=3), dimension) == 3


def test_a_fine_length_is_a_share_of_the_extent_and_two_voxels_at_least():
    fine = Options(regularity="fine")
    assert smoothness_length(Grid.with_spacing((200, 200, 200), (1.0,) * 3), fine) == pytest.approx(
        3.0
    )
    assert smoothness_length(Grid.with_spacing((60, 60, 60), (3.0,) * 3), fine) == pytest.approx(
        6.0
    )
    assert smoothness_length(
        Grid.with_spacing((60, 60, 60), (3.0,) * 3), Options()
    ) == pytest.approx(9.0)
    assert (
        smoothness_length(
            Grid.with_spacing((60, 60), (3.0,) * 2),
            Options(regularity="fine", smoothness_length=1.0),
        )
        == 1.0
    )  # a length that is given is taken


@pytest.mark.parametrize("scale", [1e-44, 1e-35, 1e35, 3e38])
def test_ranges_at_the_ends_of_float32(scale):
    unit = np.linspace(-1, 1, 41)
    data = (scale * unit).astype(np.float32).reshape(1, 41)
    scaled = unit_intensities(data, None)
    exact = data.astype(float)
    wanted = np.clip((exact - exact.min()) / np.ptp(exact), 0, 1)
    np.testing.assert_allclose(scaled, wanted, atol=0.01)
    assert scaled.dtype == np.float32


def test_a_range_that_is_nearly_a_point_is_a_threshold():
    data = np.array([[0.0, 0.5], [1.0, -1.0]], np.float32)
    np.testing.assert_array_equal(unit_intensities(data, (0.0, 1e-320)), [[0, 1], [1, 0]])
