"""What a similarity is, and is not, blind to; descriptors by their definition."""

import numpy as np
import pytest

from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.similarity.mind import self_similarity
from varreg.similarity.ssd import NOISE, chance_difference

from ..problems import smooth_image
from .problems_of_similarities import at, both_dimensions, plain, similarity_of, twins, with_data


@both_dimensions
@pytest.mark.parametrize("name", ["regional-mi", "mi", "nmi", "lncc", "mind"])
def test_inverting_a_contrast_changes_nothing(name, dimension):
    fixed, moving = twins((30, 33) if dimension == 2 else (12, 13, 11))
    before = at(name, fixed, moving)
    assert before > 0.05
    assert at(name, fixed, with_data(moving, 1 - moving.data)) == pytest.approx(before, rel=1e-9)


def test_squares_see_an_inverted_contrast():
    fixed, moving = twins()
    assert at("ssd", fixed, moving) > 1
    assert at("ssd", fixed, with_data(moving, 1 - moving.data)) < 0


@pytest.mark.parametrize("varying, tolerance", [(0.0, 0.03), (0.2, 0.06)])
def test_local_correlation_hardly_sees_a_local_affine_change(varying, tolerance):
    """But for the noise that it allows for, and for what varies within a box."""
    fixed, moving = twins((60, 64), 8.0, likeness=0.5)
    rng = np.random.default_rng(3)
    gain, offset = (0.7 + varying * smooth_image((60, 64), rng, 0.3) for _ in range(2))
    shaded = with_data(moving, gain * moving.data + offset - 0.7)
    before = at("lncc", fixed, moving)
    assert before > 0.4
    assert at("lncc", fixed, shaded) == pytest.approx(before, rel=tolerance)
    assert at("ssd", fixed, shaded) < 0.8 * at("ssd", fixed, moving)


@both_dimensions
def test_descriptors_do_not_see_the_scale_of_a_contrast(dimension):
    fixed, moving = twins((30, 33) if dimension == 2 else (12, 13, 11))
    before = at("mind", fixed, moving)
    assert at("mind", fixed, with_data(moving, 0.2 + 0.3 * moving.data)) == pytest.approx(before)


@pytest.mark.parametrize("name", ["mi", "nmi"])
def test_histograms_do_not_see_which_value_stands_for_which(name):
    """Values on bins, further apart than any kernel reaches: permuting them permutes the table."""
    bins, kinds = 64, np.array([8, 20, 35, 50])
    rng = np.random.default_rng(0)
    tissue = np.digitize(smooth_image((40, 44), rng), (0.3, 0.5, 0.7))
    noisy = np.where(rng.random((40, 44)) < 0.1, rng.integers(0, 4, (40, 44)), tissue)
    fixed = plain((kinds / (bins - 3.0))[tissue])
    found = [
        at(name, fixed, plain((kinds[order] / (bins - 3.0))[noisy]), bins=bins, kernel_width=0.3)
        for order in ([0, 1, 2, 3], [2, 0, 3, 1], [3, 2, 1, 0])
    ]
    assert found[0] > 0.2
    np.testing.assert_allclose(found, found[0], rtol=1e-10)


def test_normalised_information_discounts_what_only_the_moving_image_has():
    """(NMI - 1) H_0 = MI if the moving image follows from the fixed one, less if it has its own."""
    fixed, moving = twins()
    split = with_data(moving, np.random.default_rng(0).random(moving.data.shape))
    for other in (fixed, moving, split):
        mutual, normalised = (at(name, fixed, other, kernel_width=0.3) for name in ("mi", "nmi"))
        assert 0 < normalised < mutual
    same = [at(name, fixed, fixed, kernel_width=0.3) for name in ("mi", "nmi")]
    apart = [at(name, fixed, split, kernel_width=0.3) for name in ("mi", "nmi")]
    assert same[1] / same[0] > 1.3 * apart[1] / apart[0]


@pytest.mark.parametrize("name", ["ssd", "mind"])
def test_no_difference_is_the_maximum(name):
    fixed, moving = twins()
    rng = np.random.default_rng(1)
    best = at(name, fixed, fixed)
    level = similarity_of(name, fixed, fixed)
    assert best == pytest.approx(0.5 * np.log((level.chance + NOISE**2) / NOISE**2))
    for size in (1e-3, 1e-2, 0.1):
        noisy = np.clip(fixed.data + size * rng.normal(size=fixed.data.shape), 0, 1)
        assert at(name, fixed, with_data(fixed, noisy)) < best


def test_squares_gain_nothing_over_chance_from_shuffled_voxels():
    fixed, moving = twins((80, 90))
    shuffled = np.random.default_rng(0).permutation(moving.data.ravel()).reshape(80, 90)
    assert abs(at("ssd", fixed, with_data(moving, shuffled))) < 0.02


def test_the_difference_that_chance_would_have():
    rng = np.random.default_rng(0)
    fixed, moving = rng.random((2, 1, 5, 6)), rng.random((2, 1, 4, 7))
    here, there = rng.random((1, 5, 6)), rng.random((1, 4, 7))
    every = np.square(fixed.reshape(2, -1, 1) - moving.reshape(2, 1, -1))
    weight = here.reshape(-1, 1) * there.reshape(1, -1)
    expected = (every * weight).sum((1, 2)).mean() / weight.sum()
    assert chance_difference(fixed, here, moving, there) == pytest.approx(expected)


def test_descriptors_by_their_definition():
    """The distance of two pairs of neighbours, written down once more for one voxel."""
    rng = np.random.default_rng(0)
    image = rng.random((9, 11))
    found = np.array(self_similarity(plain(image), Grid.with_spacing((9, 11))))
    assert found.shape == (4, 9, 11)
    assert (found.max(0) == 1).all() and (found > 0).all()
    offset = np.arange(-2, 3)
    patch = np.exp(-0.5 * (offset / 0.7) ** 2)
    patch = np.outer(patch, patch) / patch.sum() ** 2
    padded = np.pad(image, 4)
    x, y = 4 + 4, 5 + 4

    def around(dx, dy):
        return padded[x + dx - 2 : x + dx + 3, y + dy - 2 : y + dy + 3]

    distance = np.array([
        (patch * (around(s, 0) - around(0, t)) ** 2).sum() for s in (1, -1) for t in (1, -1)
    ])  # fmt: skip
    distance -= distance.min()
    np.testing.assert_allclose(found[:, 4, 5], np.exp(-distance / distance.mean()), rtol=1e-6)


@both_dimensions
def test_descriptors_follow_the_space_not_the_order_of_voxels(dimension):
    """The same image stored with other axes and directions is the same to the similarity."""
    shape = (14, 17) if dimension == 2 else (8, 9, 10)
    fixed, moving = (with_data(i, i.data.astype(np.float64)) for i in twins(shape))
    turned, matrix = np.swapaxes(moving.data, 0, 1)[::-1], np.eye(dimension + 1)
    matrix[[0, 1]] = matrix[[1, 0]]  # new axis 0 runs along old axis 1, backwards
    matrix[1, 0] *= -1
    matrix[1, -1] = shape[1] - 1
    stored = LevelImage(np.ascontiguousarray(turned), None, Grid(turned.shape, matrix))
    assert at("mind", fixed, stored) == pytest.approx(at("mind", fixed, moving), rel=1e-9)


@both_dimensions
def test_descriptors_of_a_constant_are_one(dimension):
    image = plain(np.full((7, 8, 9)[:dimension], 0.4))
    np.testing.assert_array_equal(self_similarity(image, image.grid), 1)
