"""Boxes that cover an image."""

import numpy as np
import pytest

from varreg.geometry.grid import Grid
from varreg.similarity.regions import region_counts, region_cuts

from .boxes import boxes

SHAPES = [(4, 4), (5, 31), (63, 70), (96, 96), (9, 11, 10), (40, 33, 3), (64, 20, 47), (2, 7, 3)]
GRIDS = [  # (shape, spacing in mm)
    ((90, 96), (1.0, 1.0)),
    ((180, 48), (0.5, 2.0)),
    ((200, 300), (1.3, 0.4)),
    ((80, 96, 88), (1.0, 1.0, 1.0)),
    ((240, 256, 60), (0.9, 0.9, 3.0)),
    ((60, 200, 180), (3.0, 0.7, 1.1)),
]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@every_shape
@pytest.mark.parametrize("regions", [1, 2, 5, 8, 64])
def test_boxes_cover_the_image_once_and_are_never_below_four_voxels(shape, regions):
    counts = region_counts(Grid.with_spacing(shape), regions)
    for count, n in zip(counts, shape, strict=True):
        assert isinstance(count, int)
        assert 1 <= count <= max(1, n // 4)
    found = boxes(shape, counts)
    assert len(found) == np.prod(counts)
    covered = np.zeros(shape, int)
    for box in found:
        covered[box] += 1
    assert (covered == 1).all()
    for axis, n in enumerate(shape):
        sides = {box[axis].stop - box[axis].start for box in found}
        assert min(sides) >= min(n, 4)
        assert max(sides) - min(sides) <= 1


@every_shape
def test_cuts_are_on_the_voxel_border_nearest_to_where_equal_boxes_end(shape):
    for n, count in zip(shape, region_counts(Grid.with_spacing(shape), 8), strict=True):
        cuts = region_cuts(n, count)
        assert cuts.dtype == np.int64
        assert (cuts[0], cuts[-1]) == (0, n)
        assert len(cuts) == count + 1
        assert (np.abs(cuts - np.arange(count + 1) * n / count) <= 0.5 + 1e-9).all()


@pytest.mark.parametrize("shape, spacing", GRIDS, ids=str)
@pytest.mark.parametrize("regions", [1, 4, 8])
def test_boxes_are_nearly_cubes_in_mm(shape, spacing, regions):
    """As far as whole numbers allow: half to one and a half times the side along the longest axis."""
    grid = Grid.with_spacing(shape, spacing)
    counts = region_counts(grid, regions)
    assert counts[int(np.argmax(grid.extent))] == max(counts) == regions
    sides = grid.extent / counts
    wanted = grid.extent.max() / regions
    large = grid.extent > 0.5 * wanted  # a thin image is one box thick
    assert (sides[large] > 0.65 * wanted).all()
    assert (sides <= 1.5 * wanted).all()


def test_boxes_depend_on_mm_and_not_on_voxels():
    coarse, fine = Grid.with_spacing((80, 60), 2.0), Grid.with_spacing((160, 120), 1.0)
    thick = Grid.with_spacing((160, 30), (1.0, 4.0))
    assert region_counts(coarse, 8) == region_counts(fine, 8) == (8, 6)
    assert region_counts(thick, 8) == (8, 6)
    assert region_counts(Grid.with_spacing((160, 20), (1.0, 6.0)), 8) == (8, 5)  # 4 voxels


def test_boxes_of_a_mirrored_image_are_mirrored_boxes():
    for n in range(4, 70):
        for count in range(1, n // 4 + 1):
            if n % 2 and count % 2 == 0:  # an edge through the middle of the middle voxel
                continue
            cuts = region_cuts(n, count)
            np.testing.assert_array_equal(n - cuts[::-1], cuts)


def test_a_voxel_in_the_middle_of_an_image_cut_in_half_is_in_the_box_behind():
    """With an edge in its middle it cannot be in the outer box: both are."""
    for half in range(2, 30):
        np.testing.assert_array_equal(region_cuts(2 * half + 1, 2), [0, half, 2 * half + 1])
