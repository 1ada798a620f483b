"""The value of a background, dark or bright, and images that have none."""

import numpy as np
import pytest

from varreg.images.background import background_value, foreground_weight
from varreg.images.warping import outside_value


@pytest.mark.parametrize("background", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("shape", [(40, 44), (24, 28, 26)])
def test_the_border_decides(background, shape):
    data = np.full(shape, background, np.float32)
    middle = tuple(slice(n // 4, 3 * n // 4) for n in shape)
    data[middle] = np.random.default_rng(0).uniform(size=data[middle].shape)
    assert background_value(data) == pytest.approx(background)
    assert foreground_weight(data)[0].max() == pytest.approx(0)


def test_half_of_the_border_may_show_something():
    data = np.zeros((40, 40), np.float32)
    data[:20] = np.random.default_rng(0).uniform(0.2, 1, (20, 40))
    assert background_value(data) == 0


def test_an_image_that_is_cut_everywhere_has_none():
    data = np.random.default_rng(0).uniform(size=(40, 44)).astype(np.float32)
    assert background_value(data) is None
    assert foreground_weight(data) is data


def test_what_lies_beyond_an_image_is_one_of_its_values_however_large():
    """The mean of two values near the largest of their type is beyond it."""
    data = np.full((4, 4), 1.91e38, np.float32)
    data[1:3, 1:3] = 0
    assert outside_value(data) == data[0, 0]
