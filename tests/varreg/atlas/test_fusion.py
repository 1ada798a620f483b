"""Votes whose outcome is known."""

import numpy as np
import pytest

from varreg.atlas.fusion import METHODS, fuse, vote
from varreg.atlas.patches import correlations

SHAPE = (20, 22)


@pytest.fixture
def target():
    return np.random.default_rng(0).random(SHAPE).astype(np.float32)


def noise(seed):
    return np.random.default_rng(seed).random(SHAPE).astype(np.float32)


def constant(label):
    return np.full(SHAPE, label, np.int16)


def test_the_majority_wins_whatever_the_images_show(target):
    fused, agreement = fuse(
        target, [noise(k) for k in (1, 2, 3)], [constant(k) for k in (4, 7, 7)], "majority", 2
    )
    assert (fused == 7).all() and fused.dtype == np.int16
    np.testing.assert_allclose(agreement, 2 / 3)  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_where_all_agree_the_agreement_is_whole(target, method):
    labels = [constant(3) for _ in range(3)]
    labels[1] = labels[1].copy()
    labels[1][:, 11:] = 5
    fused, agreement = fuse(target, [target] * 3, labels, method, 2)
    assert (fused == 3).all() and (agreement[:, :11] == 1).all() and (agreement[:, 11:] < 1).all()


def test_one_who_looks_like_the_target_outvotes_two_who_do_not(target):
    images = [target + 0.05 * noise(1), noise(2), noise(3)]
    fused, agreement = fuse(target, images, [constant(k) for k in (1, 2, 2)], "local", 2)
    assert (fused == 1).mean() > 0.99 and agreement.mean() > 0.8


def test_each_place_is_won_by_who_is_right_there(target):
    left = np.arange(SHAPE[1]) < 11
    one, other = np.where(left, target, noise(1)), np.where(left, noise(2), target)
    fused, _ = fuse(target, [one, other], [constant(1), constant(2)], "local", 1)
    assert (fused[:, :9] == 1).mean() > 0.95 and (fused[:, 13:] == 2).mean() > 0.95


def test_the_contrast_of_the_atlases_does_not_matter(target):
    images = [target + 0.3 * noise(1), noise(2), target + 0.6 * noise(3)]
    labels = [noise(k).round().astype(int) for k in (4, 5, 6)]
    plain = fuse(target, images, labels, "local", 2)
    other = fuse(target, [3 - 2 * image for image in images], labels, "local", 2)
    np.testing.assert_array_equal(plain[0], other[0])
    np.testing.assert_allclose(plain[1], other[1], atol=1e-3)


def test_ties_go_to_the_lower_label():
    label, share = vote(np.array([[5, 1], [3, 2]]), np.ones((2, 2)))
    assert label.tolist() == [3, 1] and share.tolist() == [0.5, 0.5]


def test_correlations_are_those_of_the_patches(target):
    other, where = noise(1), np.zeros(SHAPE, bool)
    where[5, 6] = where[10, 3] = True
    found = correlations(target, [other, target], where, 2)
    for k, (i, j) in enumerate(np.argwhere(where)):
        patch = slice(i - 2, i + 3), slice(j - 2, j + 3)
        wanted = np.corrcoef(target[patch].ravel(), other[patch].ravel())[0, 1]
        assert found[0, k] == pytest.approx(wanted, abs=1e-6) and found[1, k] == pytest.approx(1)


def test_a_patch_that_shows_nothing_has_no_weight_of_its_own(target):
    flat = np.ones(SHAPE, np.float32)
    fused, agreement = fuse(
        target, [flat, flat, flat], [constant(k) for k in (1, 1, 2)], "local", 2
    )
    assert (fused == 1).all() and np.isfinite(agreement).all()
