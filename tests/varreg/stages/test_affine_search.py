"""The search over starts: what is cut off, what is tried then, and when a given map is worth less."""

import dataclasses

import numpy as np
import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.data.phantom import deformed_pair
from varreg.geometry.grid import Grid
from varreg.images.image import Image
from varreg.images.intensities import robust_range
from varreg.images.level_image import LevelImage
from varreg.initial.alternatives import OWN
from varreg.options.options import Options
from varreg.stages import initialisations
from varreg.stages.affine import affine_stage
from varreg.stages.initialisations import (
    SHIFTS,
    cut_axes,
    further_shifts,
    relative_size,
    shows_all,
)
from varreg.stages.levels import Recorder
from varreg.stages.preparation import prepared, unit_ranges

SETTINGS = dict(threads=1, progress=False)


def blob(shape, centre, size=0.25):
    """A round object on an even background."""
    x = np.indices(shape) - np.reshape(centre, (-1, *[1] * len(shape)))
    return np.exp(-((x / (size * min(shape))) ** 4).sum(0)).astype(np.float32)


def image(data, affine=None):
    grid = Grid.with_spacing(data.shape) if affine is None else Grid(data.shape, affine)
    return LevelImage(data, None, grid)


def cut_pair(seed, share=0.3, shape=(112, 96)):
    """Two contrasts of one phantom, a share of the first axis cut off at opposite ends; the map between."""
    pair = deformed_pair(shape, np.random.default_rng(seed))
    rows = round(share * shape[0])
    truth = pair.displacement[:, :-rows].copy()
    truth[0] -= rows
    seen = np.arange(shape[0] - rows)[:, None] + truth[0] >= 0
    return pair.moving[rows:], pair.fixed[:-rows], truth, pair.mask[:-rows] & seen


def error(displacement, truth, mask):
    return np.linalg.norm(displacement - truth, axis=0)[mask].mean()


@pytest.mark.parametrize("background", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(40, 44), (24, 28, 26)])
def test_an_axis_is_cut_where_the_object_reaches_its_end(shape, background):
    """Whether the background is dark or bright."""

    def shown(data):
        return image(np.abs(background - data).astype(np.float32))

    middle = (np.array(shape) - 1) / 2
    assert cut_axes(shown(blob(shape, middle))) == set()
    for axis in range(len(shape)):
        for end in (0, shape[axis] - 1):
            centre = middle.copy()
            centre[axis] = end
            assert cut_axes(shown(blob(shape, centre))) == {axis}


@pytest.mark.parametrize("background", [0.0, 1.0])
@pytest.mark.parametrize("shape", [(60, 70), (36, 40, 44)])
def test_a_relative_size_is_that_of_what_both_images_show(shape, background):
    def shown(size, spacing):
        data = np.abs(background - blob(shape, (np.array(shape) - 1) / 2, size))
        return LevelImage(data.astype(np.float32), None, Grid.with_spacing(shape, spacing))

    assert relative_size(shown(0.28, 1.0), shown(0.2, 2.0)) == pytest.approx(
        2 * 0.2 / 0.28, rel=0.03
    )
    assert relative_size(shown(0.28, 1.0), shown(0.7, 1.0)) == 1.0  # cut off: nobody knows


@pytest.mark.parametrize("white", [False, True])
def test_a_thin_outline_is_found_at_another_size_and_turned(white):
    """Of so little ink nothing overlaps until size and rotation are nearly right."""
    x, y = np.indices((160, 160)) - 80.0

    def outline(x, y):
        radius, angle = np.hypot(x, y), np.arctan2(y, x)
        return np.exp(
            -(((radius - 38 * (1 + 0.25 * np.cos(3 * angle) + 0.1 * np.sin(angle))) / 3) ** 4)
        )

    turn = np.deg2rad(22)
    back = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / 0.72
    fixed, moving = outline(x, y), outline(*np.tensordot(back, np.stack([x, y]), 1))
    images = [np.abs(white - image).astype(np.float32) for image in (moving, fixed)]
    found = varreg.solve(*images, deformable=False, **SETTINGS).affine
    corners = np.array([[60.0, 60], [60, 100], [100, 60], [100, 100]])
    expected = 80 + (corners - 80) @ np.linalg.inv(back).T
    assert np.abs(corners @ found[:2, :2].T + found[:2, 2] - expected).max() < 0.5


def test_further_shifts_follow_the_axis_of_the_fixed_image_in_the_world():
    turn, size = np.deg2rad(30), 1.5
    affine = np.eye(3)
    affine[:2, :2] = size * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    whole = image(blob((40, 44), (20, 22)), affine)
    cut = image(blob((40, 44), (0, 22)), affine)
    assert shows_all(whole, whole) and not shows_all(whole, cut)
    assert further_shifts(whole, whole) == []
    expected = [share * 40 * affine[:2, 0] for share in SHIFTS if share]
    assert np.allclose(further_shifts(cut, whole), expected)
    # the same axis of an image whose array has its axes the other way round
    other = LevelImage(cut.data.T, None, Grid((44, 40), affine[:, [1, 0, 2]]))
    assert np.allclose(further_shifts(whole, other), expected)


@pytest.mark.parametrize("seed", range(3))
def test_images_of_different_parts_are_registered(seed):
    moving, fixed, truth, mask = cut_pair(seed)
    result = varreg.solve(moving, fixed, **SETTINGS)
    assert error(result.displacement, truth, mask) < 1


def test_without_further_starts_they_are_not(monkeypatch):
    """So the search above is what finds them."""
    monkeypatch.setattr(initialisations, "CUT", np.inf)
    found = []
    for seed in range(3):
        moving, fixed, truth, mask = cut_pair(seed)
        found.append(error(varreg.solve(moving, fixed, **SETTINGS).displacement, truth, mask))
    assert max(found) > 10


# --- starts that are worth less than what the solver finds ----------------------------------------


@pytest.fixture(scope="module")
def known():
    return deformed_pair((96, 88), np.random.default_rng(4))


@pytest.fixture(scope="module")
def cold(known):
    return varreg.solve(known.moving, known.fixed, **SETTINGS)


def turned(displacement, degrees):
    """The map after a turn about the centre of the fixed image."""
    shape = displacement.shape[1:]
    x = np.indices(shape) - (np.reshape(shape, (2, 1, 1)) - 1) / 2
    a = np.deg2rad(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return displacement + np.tensordot(turn, x, 1) - x


def test_a_start_in_another_valley_is_not_used(known, cold):
    start = turned(known.displacement, 75)
    result = varreg.solve(known.moving, known.fixed, start=start, **SETTINGS)
    assert result.start.instead == OWN
    assert "NOT used" in str(result)
    assert result.energy.total <= result.start.energy.total
    assert error(result.displacement, known.displacement, known.mask) < 1.2 * error(
        cold.displacement, known.displacement, known.mask
    )


def test_a_wrong_displacement_does_no_harm(known, cold):
    x = 2 * np.pi * np.indices(known.fixed.shape) / 90
    wrong = known.displacement + 6 * np.stack([np.sin(x[1]), np.sin(x[0])])
    result = varreg.solve(known.moving, known.fixed, start=wrong, **SETTINGS)
    assert error(result.displacement, known.displacement, known.mask) < 1.2 * error(
        cold.displacement, known.displacement, known.mask
    )


def test_a_good_start_is_used(known):
    result = varreg.solve(known.moving, known.fixed, start=known.displacement, **SETTINGS)
    assert result.start.instead is None
    assert "NOT used" not in str(result)


def test_what_was_taken_instead_is_saved(known, tmp_path):
    start = turned(known.displacement, 75)
    result = varreg.solve(known.moving, known.fixed, start=start, **SETTINGS)
    result.save(tmp_path / "r")
    assert varreg.load(tmp_path / "r").start == result.start


def test_a_start_that_nothing_else_leads_to_is_tried(known):
    """A reflection is none of the starts of the search."""
    flip = np.diag([1.0, -1.0, 1.0])
    flip[1, 2] = known.moving.shape[1] - 1
    pair = Image.from_array(known.moving[:, ::-1].copy()), Image.from_array(known.fixed)
    problem = prepared(*pair, None, None, Options().for_dimension(2), cpu, 1)
    recorder = Recorder(None)
    names = ("header", "centres", "moments")
    without = affine_stage(problem, "affine", names, False, recorder)
    found = affine_stage(problem, "affine", names, False, recorder, also=flip)
    assert np.linalg.det(without) > 0 > np.linalg.det(found)


# --- the range of intensities under a mask --------------------------------------------------------


def test_what_a_mask_leaves_out_does_not_set_the_range():
    rng = np.random.default_rng(0)
    data = rng.random((40, 40), dtype=np.float32)
    mask = np.ones((40, 40), bool)
    mask[10:20, 10:20] = False
    bright = np.where(mask, data, 50).astype(np.float32)
    options = Options()
    masked = unit_ranges(bright, data, (mask, None), options)
    assert masked == (robust_range(data[mask]), robust_range(data))
    assert unit_ranges(bright, data, (None, None), options)[0][1] == pytest.approx(50)
    given = dataclasses.replace(options, fixed_range=(0.0, 2.0))
    assert unit_ranges(bright, data, (mask, None), given)[0] == (0.0, 2.0)


def test_a_masked_lesion_may_have_any_brightness(known):
    mask = np.ones(known.fixed.shape, bool)
    mask[40:52, 36:48] = False
    errors = []
    for value in (0.5, 6.0):
        fixed = np.where(mask, known.fixed, value)
        result = varreg.solve(known.moving, fixed, fixed_mask=mask, **SETTINGS)
        errors.append(error(result.displacement, known.displacement, known.mask & mask))
    assert errors[1] < 1.1 * errors[0]
