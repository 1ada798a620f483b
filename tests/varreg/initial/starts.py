"""Maps as starts."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.images.image import Image
from varreg.options.options import Options
from varreg.stages.preparation import prepared

from ..problems import smooth_image

both_dimensions = pytest.mark.parametrize("dimension", [2, 3])


def smooth_field(shape, rng, size=2.0):
    return size * np.stack([smooth_image(shape, rng, 1.0) - 0.5 for _ in shape])


def folded_field(shape, rng):
    """A smooth field with one place where it turns over."""
    field = smooth_field(shape, rng, 0.5)
    middle = tuple(n // 2 for n in shape)
    field[(0, *middle)] += 5.0
    return field


def problem_of(found, options=None):
    images = Image.from_array(found.moving), Image.from_array(found.fixed)
    chosen = (options or Options(levels=(2, 1))).for_dimension(found.fixed.ndim)
    return prepared(*images, None, None, chosen, cpu, 1)
