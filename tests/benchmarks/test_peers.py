"""Other tools, as far as they are installed, and the pairs that they share with a GPU."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import varreg

from .heads import FOLDER

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="examples are not part of this copy")


@pytest.mark.parametrize("shape", [(180, 224), (60, 72, 64)])
def test_the_map_of_enlarged_phantoms_is_what_a_registration_finds(bench, shape):
    synthetic, scores = bench("synthetic"), bench("pairs").scores
    fixed, moving = synthetic.enlarged_pair(shape)
    pair = bench("pairs").Pair("phantom", fixed, moving, *synthetic.enlarged_answer(shape))
    assert pair.displacement.shape == (len(shape), *shape) and pair.mask.shape == shape
    nothing = scores(pair, np.zeros_like(pair.displacement))["tre"]
    found = varreg.solve(moving, fixed, affine="affine", deformable=True, progress=False)
    assert scores(pair, found.displacement)["tre"] < 0.2 * nothing


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # what it warns of is its own affair
def test_fireants_finds_a_shift_along_the_axis_that_has_it(bench):
    pytest.importorskip("fireants", reason="FireANTs is not installed")
    fixed = gaussian_filter(np.random.default_rng(0).normal(size=(40, 36, 30)), 3)
    moving = 1 - 0.8 * np.roll(fixed, 2, axis=0)  # another contrast, another range
    found = bench("peers").fireants("cpu")(fixed, moving.astype(np.float32), 1)
    inside = np.median(found[:, 12:-12, 12:-12, 12:-12], axis=(1, 2, 3))
    np.testing.assert_allclose(inside, [2, 0, 0], atol=0.2)


def test_images_for_fireants_are_scaled_to_one(bench):
    unit = bench("peers").unit
    image = np.array([[-1000.0, 0.0], [500.0, 1000.0]])
    np.testing.assert_allclose(unit(image), [[0, 0.5], [0.75, 1]])
    assert unit(np.full((2, 2), 3.0)).tolist() == [[0, 0], [0, 0]]
