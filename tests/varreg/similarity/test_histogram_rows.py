"""The fixed image as fixed: every voxel that counts adds to one row of one table."""

import itertools

import numpy as np
import pytest

from varreg.geometry.grid import Grid
from varreg.similarity.histogram_rows import SKEW, histogram_rows, row_stride
from varreg.similarity.regions import region_cuts

CASES = {  # (shape, regions along each axis)
    "2d": ((1, 21, 34), (1, 1, 1)),
    "2d-regions": ((1, 21, 34), (1, 4, 7)),
    "3d": ((9, 14, 11), (1, 1, 1)),
    "3d-regions": ((9, 14, 11), (2, 3, 2)),
    "2d-large": ((1, 260, 251), (1, 1, 1)),
    "2d-large-regions": ((1, 260, 251), (1, 2, 3)),
    "3d-large": ((41, 47, 53), (1, 1, 1)),
    "3d-large-regions": ((41, 47, 53), (2, 1, 2)),
    "3d-large-many-regions": ((41, 47, 53), (5, 6, 7)),
}
BINS = 12
every_case = pytest.mark.parametrize("case", CASES)
every_stride = pytest.mark.parametrize("stride", SKEW)


def fixed_image(case, seed=0):
    rng = np.random.default_rng(seed)
    shape, counts = CASES[case]
    return rng.integers(0, BINS, shape), counts, rng.random(shape) < 0.7


def region_numbers(shape, counts):
    """Number of the region of each voxel, the last axis first to change."""
    number = np.zeros((1, 1, 1), int)
    for axis, (n, count) in enumerate(zip(shape, counts, strict=True)):
        along = np.repeat(np.arange(count), np.diff(region_cuts(n, count)))
        number = number * count + np.expand_dims(along, [a for a in range(3) if a != axis])
    return number


def table_rows(fixed):
    """Row within the stack of all tables of each voxel, -1 for none."""
    rows = np.full(fixed.row.shape, -1)
    for (i0, i1, j0, j1), group in zip(fixed.tiles, fixed.group, strict=True):
        inside = fixed.row[i0:i1, j0:j1].astype(int)
        rows[i0:i1, j0:j1] = np.where(inside < 0, -1, group * fixed.height + inside)
    return rows


@every_case
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_a_voxel_adds_to_the_row_of_its_bin_in_the_table_of_its_region(case, masked):
    bins, counts, mask = fixed_image(case)
    fixed = histogram_rows(bins, BINS, counts, mask if masked else None)
    wanted = region_numbers(bins.shape, counts) * BINS + bins
    np.testing.assert_array_equal(table_rows(fixed), np.where(mask | (not masked), wanted, -1))
    assert (fixed.height, fixed.bins) == (counts[2] * BINS, BINS)


@every_case
def test_tiles_cover_every_row_once_and_cross_no_border(case):
    bins, counts, mask = fixed_image(case)
    fixed = histogram_rows(bins, BINS, counts, mask)
    covered = np.zeros(bins.shape[:2], int)
    for i0, i1, j0, j1 in fixed.tiles:
        assert i0 < i1 and j0 < j1
        covered[i0:i1, j0:j1] += 1
    assert (covered == 1).all()
    planes, rows = (region_cuts(n, c) for n, c in zip(bins.shape[:2], counts[:2], strict=True))
    boxes = list(itertools.product(itertools.pairwise(planes), itertools.pairwise(rows)))
    for (i0, i1, j0, j1), group in zip(fixed.tiles, fixed.group, strict=True):
        (p0, p1), (q0, q1) = boxes[group]
        assert p0 <= i0 < i1 <= p1 and q0 <= j0 < j1 <= q1
    np.testing.assert_array_equal(np.unique(fixed.group), np.arange(len(boxes)))
    assert (np.diff(fixed.group) >= 0).all()  # the tiles of a group follow each other


def test_large_images_have_several_tiles_and_many_regions_one_each():
    def tiles_per_group(case):
        bins, counts, mask = fixed_image(case)
        return np.bincount(histogram_rows(bins, BINS, counts, mask).group)

    for case in ("2d-large", "3d-large", "2d-large-regions", "3d-large-regions"):
        assert (tiles_per_group(case) > 1).all()
    assert (tiles_per_group("3d-large-many-regions") == 1).all()
    assert (tiles_per_group("3d-regions") == 1).all()


@every_case
@every_stride
def test_totals_and_live_rows_are_those_of_the_labels(case, stride):
    bins, counts, mask = fixed_image(case)
    mask[:, ::3] = False
    fixed = histogram_rows(bins, BINS, counts, mask, stride)
    np.testing.assert_array_equal(fixed.occupied, (fixed.row >= 0).any(axis=2))
    assert fixed.voxels.shape == (len(fixed.tiles), fixed.height)
    for total, (i0, i1, j0, j1) in zip(fixed.voxels, fixed.tiles, strict=True):
        inside = fixed.row[i0:i1, j0:j1]
        wanted = np.bincount(inside[inside >= 0], minlength=fixed.height)
        np.testing.assert_array_equal(total, wanted)


@every_case
@every_stride
def test_rows_are_kept_or_left_out_as_a_whole(case, stride):
    bins, counts, mask = fixed_image(case)
    every, some = (histogram_rows(bins, BINS, counts, mask, s) for s in (1, stride))
    kept = some.occupied.astype(bool)
    np.testing.assert_array_equal(some.row[kept], every.row[kept])
    assert (some.row[~kept] == -1).all()
    np.testing.assert_array_equal(some.tiles, every.tiles)


@every_case
@every_stride
def test_one_row_of_every_few_is_kept_evenly_spread(case, stride):
    bins, counts, _ = fixed_image(case)
    live = histogram_rows(bins, BINS, counts, None, stride).occupied.astype(int)
    planes, rows = live.shape
    # of any `stride` neighbours one: rows of a plane; of a volume two rows, in two planes for 4
    down = stride if planes == 1 else min(stride, 2)
    across = stride // down
    for i, j in itertools.product(range(planes - across + 1), range(rows - down + 1)):
        assert live[i : i + across, j : j + down].sum() == 1
    assert live.mean() == pytest.approx(1 / stride, abs=0.05)


@pytest.mark.parametrize(
    "regions, bins, dtype",
    [(1, 32, np.int16), (4681, 7, np.int16), (4096, 8, np.int32), (512, 64, np.int32)],
)
def test_labels_are_as_wide_as_their_largest_number(regions, bins, dtype):
    """4681 x 7 = 32767 is the last to fit 16 bits."""
    rng = np.random.default_rng(0)
    image, mask = rng.integers(0, bins, (1, 6, 5000)), rng.random((1, 6, 5000)) < 0.8
    image[..., -1], mask[..., -1] = bins - 1, True
    fixed = histogram_rows(image, bins, (1, 1, regions), mask)
    assert fixed.row.dtype == dtype
    region = region_numbers(image.shape, (1, 1, regions))
    np.testing.assert_array_equal(fixed.row, np.where(mask, region * bins + image, -1))
    assert fixed.row.max() == fixed.height - 1
    assert fixed.voxels.sum() == mask.sum()


def test_nothing_counts_under_an_empty_mask():
    bins, counts, mask = fixed_image("3d-regions")
    fixed = histogram_rows(bins, BINS, counts, np.zeros_like(mask))
    assert (fixed.row == -1).all()
    assert not fixed.occupied.any()
    assert not fixed.voxels.any()


@pytest.mark.parametrize("shape, nodes", [((100, 80), (10, 8)), ((60, 50, 40), (6, 5, 4))])
def test_the_stride_leaves_as_many_voxels_per_node_as_are_wanted(shape, nodes):
    grid = Grid.with_spacing(shape)
    available = np.prod(shape) / np.prod(nodes)
    for wanted in (1, 0.24 * available, available / 4, 0.3 * available, available / 2, available):
        stride = row_stride(grid, nodes, wanted)
        assert available / stride >= wanted
        assert stride == max(SKEW) or available / (2 * stride) < wanted
    assert row_stride(grid, nodes, wanted, share=1e-6) == 1  # a small mask: every row
    assert row_stride(grid, nodes, None) == 1
    assert row_stride(grid, nodes, 10 * available) == 1  # there are no more than all
