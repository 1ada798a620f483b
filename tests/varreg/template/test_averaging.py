"""The average is robust, and says where too few show something."""

import numpy as np
import pytest

from varreg.images.image import Image
from varreg.template.averaging import average, template_image
from varreg.template.measures import dice, mean_dice


def stack(*values):
    return [np.full((3, 4), value, np.float32) for value in values]


@pytest.mark.parametrize(("rule", "wanted"), [("mean", 22.0), ("median", 3.0), ("trimmed", 3.0)])
def test_rules(rule, wanted):
    values, shown = average(stack(1, 2, 3, 4, 100), rule)
    np.testing.assert_allclose(values, wanted, rtol=1e-6)
    assert shown.all()


@pytest.mark.parametrize("rule", ["mean", "median", "trimmed"])
def test_the_order_of_people_changes_no_bit(rule):
    random = np.random.default_rng(0)
    people = list(random.normal(size=(7, 5, 6)).astype(np.float32))
    np.testing.assert_array_equal(average(people, rule)[0], average(people[::-1], rule)[0])


@pytest.mark.parametrize("rule", ["mean", "median", "trimmed"])
def test_who_shows_nothing_is_left_out(rule):
    values, shown = average(stack(np.nan, 2, 4, 2, 4), rule)
    np.testing.assert_allclose(values, 3.0)
    values, shown = average(stack(np.nan, np.nan, 5, np.nan), rule)
    assert not shown.any() and np.isnan(values).all()


def test_the_median_of_an_even_number_is_the_middle_of_two():
    assert average(stack(1, 2, 4, 9), "median")[0][0, 0] == 3


def test_where_nobody_shows_anything_is_background_and_no_data():
    values = np.zeros((8, 8), np.float32)
    values[3:5, 3:5] = 7
    values[0, 0] = np.nan
    image = template_image(Image.from_array(np.eye(8)), values, "template")
    assert image.data[0, 0] == 0 and not image.valid[0, 0] and image.valid.sum() == 63


def test_dice():
    one, other = np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2])
    assert dice(one, other) == pytest.approx(2 / 3) and dice(one, one) == 1
    assert mean_dice([one, one, other]) == pytest.approx((1 + 2 / 3 + 2 / 3) / 3)
    assert dice(one, np.array([0, 3, 3, 3])) == 0
