"""Several pairs of images under one map: the weighted mean of their similarities, and of the gradients."""

import dataclasses

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.options.options import Options
from varreg.similarity.choice import similarity
from varreg.similarity.similarity import Similarity
from varreg.similarity.weighted import WeightedSimilarity, weighted

from ..energy.test_evaluations import affine, check, deformable
from ..problems import pair, smooth_image

SHAPES = {2: ((20, 23), (1.2, 0.8)), 3: ((9, 11, 10), (1.4, 1.0, 2.0))}
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
NAMES, WEIGHTS = ("regional-mi", "lncc", "nmi"), (3.0, 1.0, 0.5)


def three_pairs(dimension, names=NAMES) -> list[Similarity]:
    """Similarities of three pairs on the same grids, the first with masks of both sides."""
    first = pair(*SHAPES[dimension], fixed_mask=True, moving_mask=True, oblique=True)
    rng, found = np.random.default_rng(5), []
    for k, name in enumerate(names):
        images = first
        if k:
            images = [
                dataclasses.replace(image, data=smooth_image(image.data.shape, rng), mask=None)
                for image in first
            ]
        found.append(similarity(name, *images, Options(similarity=name), cpu, 1, np.float64))
    return found


@both_dimensions
def test_the_gradient_is_that_of_the_mean(dimension):
    level = weighted(three_pairs(dimension), WEIGHTS)
    for objective, at in (deformable(level, Options(), 1), affine(level, 2)):
        check(objective, at, objective.evaluate(at).gradient())


@both_dimensions
def test_an_evaluation_keeps_its_gradient_after_others(dimension):
    level = weighted(three_pairs(dimension), WEIGHTS)
    one, two = deformable(level, Options(), 1), deformable(level, Options(), 3)
    first, second = (objective.evaluate(at) for objective, at in (one, two))
    check(*two, second.gradient())
    check(*one, first.gradient())


@both_dimensions
def test_value_and_view_are_weighted_means(dimension):
    parts = three_pairs(dimension)
    level = WeightedSimilarity(parts, WEIGHTS)
    objective, at = deformable(level, Options(), 1)
    found = objective.evaluate(at)
    values = [(one.value, one.in_view) for one in level.found]
    expected = np.average(values, axis=0, weights=WEIGHTS)
    np.testing.assert_allclose((found.energy.similarity, found.in_view), expected, rtol=1e-12)


def test_one_pair_alone_is_itself():
    part = three_pairs(2)[0]
    assert weighted([part], [3.0]) is part
