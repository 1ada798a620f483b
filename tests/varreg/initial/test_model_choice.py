"""The model that nobody named: rigid, affine or deformable, by what each gains."""

import numpy as np
import pytest
from scipy import ndimage

import varreg
from varreg.data.phantom import deformed_pair
from varreg.images.image import Image
from varreg.optimise.model_choice import AFFINE_GAIN, DEFORMABLE_GAIN, LEAST_MOTION, RIGID_GAIN

SETTINGS = dict(threads=1, progress=False)


def coinciding(seed, shape=(128, 112)):
    pair = deformed_pair(shape, np.random.default_rng(seed), affine=False, displacement_rms=0.0)
    noise = np.random.default_rng(seed).normal(0, 0.01, (2, *shape)).astype(np.float32)
    return pair.moving + noise[0], pair.fixed + noise[1], pair.mask


def placed(moving, matrix):
    """The image under a header that takes it elsewhere, so that the answer is the matrix itself."""
    return Image.from_array(moving, affine=matrix)


def header(degrees, scales, shift):
    turn = np.deg2rad(degrees)
    matrix = np.eye(3)
    matrix[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    matrix[:2, :2] = matrix[:2, :2] @ np.diag(scales)
    matrix[:2, 2] = shift
    return matrix


def error(result, matrix, mask):
    points = np.argwhere(mask).astype(float)
    truth = points @ matrix[:2, :2].T + matrix[:2, 2]
    return np.linalg.norm(np.asarray(result.points(points)) - truth, axis=1).mean()


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("degrees, shift", [(0, (0, 0)), (8, (6, -4))])
def test_images_of_one_person_get_a_rigid_map_that_is_no_worse_than_rigid_alone(
    seed, degrees, shift
):
    moving, fixed, mask = coinciding(seed)
    truth = header(degrees, (1, 1), shift)
    moving = placed(moving, truth)
    found = varreg.solve(moving, fixed, **SETTINGS)
    assert found.model.affine in ("rigid", "headers") and not found.model.deformable
    assert found.model.deformable_gain <= DEFORMABLE_GAIN
    assert found.transform.nodes is None
    rigid = varreg.solve(moving, fixed, affine="rigid", deformable=False, **SETTINGS)
    assert error(found, truth, mask) <= error(rigid, truth, mask) + 0.05
    assert {level.stage for level in found.levels} <= {"affine"}


@pytest.mark.parametrize("deformable", [None, False])
@pytest.mark.parametrize("seed", [1, 2, 3, 9])
def test_images_that_coincide_stay_where_they_are(seed, deformable):
    moving, fixed, _ = coinciding(seed)
    found = varreg.solve(moving, fixed, deformable=deformable, **SETTINGS)
    assert found.model.affine == "headers"
    np.testing.assert_array_equal(found.affine, np.eye(3))
    assert found.model.rigid_gain <= RIGID_GAIN and found.model.motion < LEAST_MOTION


@pytest.mark.parametrize("deformable", [None, False])
def test_half_a_voxel_is_not_overlooked(deformable):
    moving, fixed, mask = coinciding(2)
    truth = header(0, (1, 1), (0.6, 0.3))
    found = varreg.solve(placed(moving, truth), fixed, deformable=deformable, **SETTINGS)
    assert found.model.affine == "rigid"
    assert error(found, truth, mask) < 0.25


@pytest.mark.parametrize("deformable", [None, False])
def test_scales_are_found_where_there_are_some(deformable):
    moving, fixed, mask = coinciding(4)
    truth = header(5, (1.07, 0.95), (3, 2))
    found = varreg.solve(placed(moving, truth), fixed, deformable=deformable, **SETTINGS)
    assert found.model.affine == "affine"
    assert deformable is None or found.model.affine_gain > AFFINE_GAIN
    assert error(found, truth, mask) < 0.6


def test_a_deformation_is_found_where_there_is_one():
    """And it has the bits of the one that was asked for."""
    pair = deformed_pair((128, 112), np.random.default_rng(5), displacement_rms=1.2)
    found = varreg.solve(pair.moving, pair.fixed, **SETTINGS)
    asked = varreg.solve(pair.moving, pair.fixed, affine="affine", deformable=True, **SETTINGS)
    assert (found.model.affine, found.model.deformable) == ("affine", True)
    assert found.model.deformable_gain > DEFORMABLE_GAIN
    np.testing.assert_array_equal(found.displacement, asked.displacement)
    assert asked.model is None


@pytest.mark.parametrize("seed", [5, 6])
def test_a_deformation_of_a_small_part_is_not_overlooked(seed):
    """It gains little of the energy, but moves what it moves far."""
    moving, fixed, mask = coinciding(seed)
    x = np.indices(fixed.shape).astype(float)
    place = np.argwhere(mask).mean(0) - [0.3 * len(fixed), 0]
    bump = np.exp(-np.square((x - place[:, None, None]) / 14).sum(0))
    moved = ndimage.map_coordinates(moving, x + np.stack([6 * bump, 0 * bump]), order=1)
    found = varreg.solve(moved.astype(np.float32), fixed, **SETTINGS)
    assert found.model.deformable and found.model.apart > 3


def test_what_was_asked_for_is_done():
    moving, fixed, _ = coinciding(7)
    for affine, deformable in (("affine", True), ("similarity", False)):
        found = varreg.solve(moving, fixed, affine=affine, deformable=deformable, **SETTINGS)
        assert found.model is None
        assert (found.transform.nodes is not None) == deformable
    found = varreg.solve(moving, fixed, affine="rigid", **SETTINGS)
    assert (found.model.affine, found.model.deformable) == ("rigid", False)
    found = varreg.solve(moving, fixed, affine=header(0, (1, 1), (0.1, 0)), **SETTINGS)
    assert (found.model.affine, found.model.deformable) == (None, False)
    np.testing.assert_array_equal(found.affine, header(0, (1, 1), (0.1, 0)))
    found = varreg.solve(moving, fixed, similarity="lncc", **SETTINGS)
    assert found.model is None and found.transform.nodes is not None


def test_the_choice_is_said_and_saved(tmp_path):
    moving, fixed, _ = coinciding(8)
    moving = placed(moving, header(5, (1, 1), (3, 2)))
    found = varreg.solve(moving, fixed, **SETTINGS)
    assert f"\n{found.model}\n" in str(found) and str(found.model).startswith("Model: rigid (")
    found.save(tmp_path / "result")
    loaded = varreg.load(tmp_path / "result")
    assert loaded.model == found.model and str(loaded) == str(found)
