"""Problems of every similarity."""

import dataclasses

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.energy.affine import AffineObjective
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.choice import similarity

from ..problems import smooth_image

NEW = ["nmi", "lncc", "mind", "ssd"]
ALL = ["regional-mi", "mi", *NEW]
every_new = pytest.mark.parametrize("name", NEW)
every_one = pytest.mark.parametrize("name", ALL)
both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
# shape, uneven spacing, other moving shape, few nodes
FLAT = ((21, 24), (2.1, 0.6), (17, 26), (7, 5))
DEEP = ((9, 11, 10), (1.4, 0.7, 2.0), (11, 8, 12), (4, 3, 5))


def similarity_of(name, fixed, moving, dtype=np.float64, kernels=cpu, threads=1, **options):
    return similarity(
        name, fixed, moving, Options(similarity=name, **options), kernels, threads, dtype
    )


def at(name, fixed, moving, matrix=None, **options):
    """Similarity under an affine map."""
    matrix = np.eye(fixed.grid.dim + 1) if matrix is None else matrix
    level = similarity_of(name, fixed, moving, **options)
    return AffineObjective(level, "translation").evaluate(matrix).energy.similarity


def plain(data, mask=None):
    return LevelImage(data, mask, Grid.with_spacing(data.shape))


def twins(shape=(30, 33), cycles=4.0, likeness=0.9):
    """A textured image, and another one that resembles it."""
    rng = np.random.default_rng(0)
    image, other = smooth_image(shape, rng, cycles), smooth_image(shape, rng, cycles)
    return plain(image), plain(likeness * image + (1 - likeness) * other)


def with_data(image, data):
    return dataclasses.replace(image, data=data)
