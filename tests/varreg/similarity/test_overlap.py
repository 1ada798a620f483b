"""Mutual information of the overlap: what it counts, what it does not, and its gradient."""

import numpy as np
import pytest

from varreg.backends.numba import backend as cpu
from varreg.backends.numpy import backend as reference
from varreg.data.phantom import brain_phantom
from varreg.energy.affine import AffineObjective
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.options.options import Options
from varreg.similarity.overlap import OverlapInformation

from ..problems import central_difference, random_affine


def shown(data, spacing=1.0):
    return LevelImage(np.asarray(data, np.float32), None, Grid.with_spacing(data.shape, spacing))


@pytest.fixture(scope="module")
def slices():
    phantom = brain_phantom((64, 72), np.random.default_rng(0))
    return [np.clip(image / image.max(), 0, 1) for image in (phantom.t1, phantom.t2)]


def objective(fixed, moving, kernels=cpu, dtype=np.float32, **options):
    level = OverlapInformation(fixed, moving, Options(**options), kernels, 1, dtype)
    return AffineObjective(level, "affine")


def value(fixed, moving, matrix=None, **settings):
    matrix = np.eye(fixed.grid.dim + 1) if matrix is None else matrix
    return objective(fixed, moving, **settings).evaluate(matrix).energy.similarity


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
@pytest.mark.parametrize("shift", [0.3, 40.3])
def test_its_gradient_is_that_of_its_value(slices, shift, interpolation):
    """Where much overlaps, and where so little does that the factor falls."""
    fixed, moving = map(shown, slices)
    energy = objective(fixed, moving, dtype=np.float64, interpolation="cubic")
    rng = np.random.default_rng(1)
    matrix = random_affine(2, rng)
    matrix[0, -1] += shift
    gradient = energy.evaluate(matrix).gradient()
    direction = gradient * (3e-6 / energy.largest_step(gradient))
    numeric = central_difference(
        lambda t: energy.evaluate(energy.move(matrix, direction, t).state).energy.total,
        0.0,
        1.0,
        1.0,
    )
    assert float(gradient @ direction) == pytest.approx(numeric, rel=1e-5)


def test_both_backends_agree(slices):
    fixed, moving = map(shown, slices)
    matrix = random_affine(2, np.random.default_rng(2))
    found = [value(fixed, moving, matrix, kernels=k, dtype=np.float64) for k in (cpu, reference)]
    assert found[0] == pytest.approx(found[1], rel=1e-9)


@pytest.mark.parametrize("fixed_white, moving_white", [(True, True), (True, False), (False, True)])
def test_a_white_background_is_as_good_as_a_black_one(slices, fixed_white, moving_white):
    matrix = random_affine(2, np.random.default_rng(3))
    black = value(*map(shown, slices), matrix)
    whites = (fixed_white, moving_white)
    turned = [1 - s if white else s for s, white in zip(slices, whites, strict=True)]
    assert value(*map(shown, turned), matrix) == pytest.approx(black, rel=0.02)


def test_a_wider_field_of_view_changes_little(slices):
    """Background that is added to both images tells nothing of what they show."""
    narrow = value(*map(shown, slices))
    wide = [np.pad(s, 40) for s in slices]
    assert value(*map(shown, wide)) == pytest.approx(narrow, rel=0.25)


def test_a_collapse_does_not_pay(slices):
    """A part of the moving image blown up over the fixed one, which view times information rewards."""
    fixed, moving = slices
    part = np.zeros_like(moving)
    part[:, 24:48] = moving[:, 24:48]  # a slab of which the fixed image shows the whole
    slab = LevelImage(
        np.ascontiguousarray(part[:, 24:48], np.float32),
        None,
        Grid((64, 24), np.array([[1.0, 0, 0], [0, 1, 24], [0, 0, 1]])),
    )
    blown = np.eye(3)
    blown[1, 1], blown[1, 2] = 0.4, 22.0  # the whole fixed image in view of a third of the slab
    assert value(shown(fixed), slab) > 1.2 * value(shown(fixed), slab, blown)


def test_nothing_in_view_is_worth_nothing(slices):
    away = np.eye(3)
    away[0, -1] = 500
    found = objective(*map(shown, slices)).evaluate(away)
    assert found.energy.similarity == 0 and found.in_view == 0
    assert (found.gradient() == 0).all()
