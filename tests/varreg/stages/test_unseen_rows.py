"""The rows that a trial fits and those that judge it: pairs as on a chessboard, and what a gain is a share of."""

import numpy as np
import pytest

from varreg.optimise.regularity_choice import FINE_GAIN, choice_of
from varreg.stages.unseen_rows import _blocks, _share, seen_rows

SHAPES = [(8, 12, 5), (9, 11, 7), (1, 6, 4), (10, 14)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


@every_shape
def test_rows_are_seen_or_unseen_from_end_to_end(shape):
    seen = seen_rows(shape)
    assert seen.shape == shape
    assert (seen == seen[..., :1]).all()


@every_shape
def test_rows_are_seen_in_pairs_and_pairs_as_on_a_chessboard(shape):
    seen = seen_rows(shape)[..., 0]
    for axis in range(seen.ndim):
        lines = np.moveaxis(seen, axis, 0)
        even = len(lines) // 2 * 2
        np.testing.assert_array_equal(lines[0:even:2], lines[1:even:2])  # both of a pair
        np.testing.assert_array_equal(lines[0:-2], ~lines[2:])  # and never the next one
    assert seen.flat[0]


def test_half_of_whole_pairs_is_seen():
    assert seen_rows((8, 12, 5)).mean() == 0.5


@every_shape
def test_blocks_are_a_partition(shape):
    rows = ~seen_rows(shape)
    blocks = np.array(_blocks(rows))
    assert len(blocks) == 2 ** len(shape)
    np.testing.assert_array_equal(blocks.sum(0), rows)


def test_a_gain_is_a_share_of_the_similarity_with_the_standard_error_of_the_blocks():
    values, voxels = np.array([[1.0, 1.1], [1.0, 1.3]]), np.array([500.0, 500.0])
    gain, noise = _share(values, voxels)
    assert gain == pytest.approx(0.2)
    assert noise == pytest.approx(np.std([0.1, 0.3], ddof=1) / np.sqrt(2))
    assert _share(np.array([[0.5, 0.55], [1.5, 1.65]]), np.array([300.0, 900.0]))[
        0
    ] == pytest.approx(0.1)


def test_images_that_share_nothing_gain_nothing():
    assert _share(np.zeros((4, 2)), np.ones(4)) == (0.0, 0.0)


@pytest.mark.parametrize(
    "gain, noise, wanted",
    [
        (1.3 * FINE_GAIN, 0.1 * FINE_GAIN, "fine"),
        (1.1 * FINE_GAIN, 0.1 * FINE_GAIN, "smooth"),
        (0.9 * FINE_GAIN, 0.1 * FINE_GAIN, "smooth"),
        (2 * FINE_GAIN, 1.1 * FINE_GAIN, "smooth"),
        (-FINE_GAIN, 0.0, "smooth"),
        (0.0, 0.0, "smooth"),
    ],
)
def test_only_a_gain_that_is_large_and_certain_makes_a_map_fine(gain, noise, wanted):
    assert choice_of(gain, noise, 2.0).regularity == wanted
