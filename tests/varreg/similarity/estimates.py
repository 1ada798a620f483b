"""Estimates of mutual information."""

import numpy as np
import pytest

from varreg.backends.arrays import Warped, Workspace
from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.energy.affine import AffineObjective
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.mutual_information import MutualInformation

from ..problems import smooth_image

ESTIMATORS = ["fine-histogram", "per-pixel"]
every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)


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


def textures(seed=0, shape=(60, 70)):
    rng = np.random.default_rng(seed)
    return smooth_image(shape, rng, 4.0), smooth_image(shape, rng, 4.0)
