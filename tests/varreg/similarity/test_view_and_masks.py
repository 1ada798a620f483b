"""What is out of view and what a mask leaves out counts for nothing."""

import dataclasses

import numpy as np
import pytest

from varreg.energy.affine import AffineObjective

from ..problems import pair, random_affine, smooth_image
from .problems_of_similarities import (
    DEEP,
    FLAT,
    at,
    both_dimensions,
    every_new,
    every_one,
    plain,
    similarity_of,
    twins,
    with_data,
)


@every_one
@both_dimensions
def test_nothing_in_view_is_worth_nothing(name, dimension):
    fixed, moving = pair(*((FLAT, DEEP)[dimension - 2][:2]))
    objective = AffineObjective(similarity_of(name, fixed, moving), "affine")
    matrix = np.eye(dimension + 1)
    here = objective.evaluate(matrix)
    assert here.energy.similarity != 0 and here.in_view > 0.9
    matrix[0, -1] = 1e3
    away = objective.evaluate(matrix)
    assert away.energy.similarity == away.in_view == 0
    np.testing.assert_array_equal(away.gradient(), 0)


@every_one
def test_a_mask_of_nothing_is_worth_nothing(name):
    fixed, moving = pair((21, 24), (1.0, 1.0))
    empty = dataclasses.replace(fixed, mask=np.zeros((21, 24), bool))
    objective = AffineObjective(similarity_of(name, empty, moving), "affine")
    evaluation = objective.evaluate(np.eye(3))
    assert evaluation.energy.similarity == evaluation.in_view == 0
    np.testing.assert_array_equal(evaluation.gradient(), 0)


@every_one
def test_pushing_things_out_of_view_is_not_rewarded(name):
    """Dark background around an object: leaving with it must not pay, nor with the object."""
    x, y = np.mgrid[:48, :48] - 23.5
    texture = smooth_image((48, 48), np.random.default_rng(0), 8.0)
    image = plain(np.where(np.hypot(x, y) < 14, 0.3 + 0.7 * texture, 0.0))
    best = at(name, image, image)
    for growth in (1.2, 1.5, 2.0, 3.0):
        matrix = np.diag([growth, growth, 1.0])
        matrix[:2, -1] = 23.5 * (1 - growth)
        assert at(name, image, image, matrix) < best
    for shift in (10, 20, 30, 40):
        matrix = np.eye(3)
        matrix[0, -1] = shift
        assert at(name, image, image, matrix) < best


@every_new
@both_dimensions
@pytest.mark.parametrize("which", ["fixed", "moving"])
def test_what_a_mask_leaves_out_does_not_count(name, dimension, which):
    shape = FLAT[0] if dimension == 2 else DEEP[0]
    images = dict(zip(("fixed", "moving"), twins(shape), strict=True))
    mask = smooth_image(shape, np.random.default_rng(1), 0.7) > 0.4
    images[which] = dataclasses.replace(images[which], mask=mask)
    before = at(name, **images)
    changed = np.where(mask, images[which].data, np.random.default_rng(2).random(shape))
    images[which] = with_data(images[which], changed)
    assert at(name, **images) == pytest.approx(before, rel=1e-12)
    unmasked = {key: dataclasses.replace(image, mask=None) for key, image in images.items()}
    assert at(name, **unmasked) != pytest.approx(before, rel=1e-3)


@every_new
@both_dimensions
@pytest.mark.parametrize("mask", ["fixed", "moving"])
def test_a_mask_of_everything_is_none(name, dimension, mask):
    fixed, moving = twins(FLAT[0] if dimension == 2 else DEEP[0])
    matrix = random_affine(dimension, np.random.default_rng(1))
    everything = np.ones(fixed.data.shape, bool)
    masked = [
        dataclasses.replace(image, mask=everything if mask == name_ else None)
        for image, name_ in ((fixed, "fixed"), (moving, "moving"))
    ]
    assert at(name, *masked, matrix) == pytest.approx(at(name, fixed, moving, matrix), rel=1e-12)


@every_one
@both_dimensions
def test_only_the_ratios_of_weights_count(name, dimension):
    fixed, moving = pair(*((FLAT, DEEP)[dimension - 2][:2]), fixed_mask="weights")
    matrix = random_affine(dimension, np.random.default_rng(1))
    half = dataclasses.replace(fixed, mask=fixed.mask / 2)
    same = dataclasses.replace(fixed, mask=np.full_like(fixed.mask, 0.3))
    without = dataclasses.replace(fixed, mask=None, weighted=False)
    assert at(name, half, moving, matrix) == pytest.approx(
        at(name, fixed, moving, matrix), rel=1e-6
    )
    assert at(name, same, moving, matrix) == pytest.approx(
        at(name, without, moving, matrix), rel=1e-6
    )
    assert at(name, fixed, moving, matrix) != pytest.approx(
        at(name, without, moving, matrix), rel=1e-3
    )


@every_one
@both_dimensions
def test_weights_of_0_and_1_are_a_mask(name, dimension):
    fixed, moving = pair(*((FLAT, DEEP)[dimension - 2][:2]), fixed_mask=True)
    weights = dataclasses.replace(fixed, mask=fixed.mask.astype(float), weighted=True)
    assert at(name, weights, moving) == pytest.approx(at(name, fixed, moving), rel=1e-12)


@pytest.mark.parametrize("name", ["mi", "nmi"])
def test_a_voxel_of_twice_the_weight_is_two_voxels(name):
    fixed, moving = twins((20, 33))
    rows = np.concatenate([np.arange(20), np.arange(8, 20)])
    thrice = [plain(image.data[rows]) for image in (fixed, moving)]
    weights = np.where(np.arange(20) < 8, 0.5, 1.0)[:, None] * np.ones((20, 33))
    weighted = dataclasses.replace(fixed, mask=weights, weighted=True)
    assert at(name, weighted, moving) == pytest.approx(at(name, *thrice), rel=1e-9)


@every_one
@pytest.mark.parametrize("constant", ["fixed", "moving", "both"])
def test_constant_images_divide_by_nothing(name, constant):
    fixed, moving = twins((21, 24))
    if constant != "moving":
        fixed = with_data(fixed, np.full((21, 24), 0.5))
    if constant != "fixed":
        moving = with_data(moving, np.full((21, 24), 0.5))
    objective = AffineObjective(similarity_of(name, fixed, moving), "affine")
    matrix = random_affine(2, np.random.default_rng(1))
    evaluation = objective.evaluate(matrix)
    value = evaluation.energy.similarity
    assert np.isfinite(value) and np.isfinite(evaluation.gradient()).all()
    if name != "ssd" or constant == "both":  # chance is no worse than any other placement
        assert value == pytest.approx(0, abs=0.06 if name == "mind" else 1e-9)
