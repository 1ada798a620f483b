"""Checks of an answer: each speaks of a pair made wrong in just its way, and all are silent on right ones."""

import numpy as np
import pytest
from scipy import ndimage

import varreg
from varreg.checks.alternatives import signed_permutations
from varreg.checks.head import head_of
from varreg.data.phantom import deformed_pair
from varreg.geometry.grid import Grid
from varreg.images.level_image import LevelImage
from varreg.optimise.check import NONE_MADE, SILENT, first_line, remedies

NAMES = {
    "scales", "volume", "view", "shift", "placement", "orientation", "mirror", "shared", "affine gain",
    "deformation", "displacement", "smoothness", "folds", "coincidence",
}  # fmt: skip


def head(seed=0, shape=(112, 104)):
    """A T2 and a T1 slice of an artificial head with a lopsided bright spot, which no turn or mirror matches."""
    pair = deformed_pair(shape, np.random.default_rng(seed), affine=False)
    moving, fixed = np.array(pair.moving), np.array(pair.fixed)
    return moving, fixed


def about_centre(linear, shift=(0.0, 0.0), shape=(112, 104)):
    centre = (np.array(shape) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ centre + shift
    return matrix


def turn(degrees):
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, -s], [s, c]])


def warned(moving, fixed, **settings):
    result = varreg.solve(moving, fixed, threads=1, **settings)
    return {check.name: check for check in result.warnings}


@pytest.mark.parametrize("seed", range(4))
def test_right_answers_are_passed_in_silence(seed):
    pair = deformed_pair((112, 104), np.random.default_rng(seed))
    result = varreg.solve(pair.moving, pair.fixed, threads=1)
    error = np.linalg.norm(result.displacement - pair.displacement, axis=0)[pair.mask].mean()
    assert error < 1.5
    assert result.warnings == ()
    assert first_line(result.checks) == SILENT
    assert {check.name for check in result.checks} == NAMES


def test_right_answers_of_volumes_are_passed_in_silence():
    pair = deformed_pair((48, 52, 44), np.random.default_rng(3))
    assert varreg.solve(pair.moving, pair.fixed, threads=1).warnings == ()


def test_a_collapsed_axis_and_volume():
    moving, fixed = head()
    found = warned(moving, fixed, affine=about_centre(np.diag([0.45, 1.0])))
    assert found["scales"].value == pytest.approx(1 / 0.45)
    assert "scales an axis by 0.45" in str(found["scales"])
    assert "changes volumes by 0.45" in str(found["volume"])
    assert "affine='rigid'" in found["scales"].remedy


def test_a_matrix_that_mirrors():
    moving, fixed = head()
    found = warned(moving, fixed, affine=about_centre(np.diag([-1.0, 1.0])))
    assert "mirrors" in str(found["volume"])
    assert "left and right" in str(found["volume"])


def test_images_shifted_apart():
    moving, fixed = head()
    found = warned(moving, fixed, affine=about_centre(np.eye(2), (22.0, -14.0)))
    assert "aligned centres, an affine map reaches" in str(found["placement"])
    assert "the affine part makes it worse" in str(found["affine gain"])


def test_little_in_view():
    moving, fixed = head()
    found = warned(moving, fixed, affine=about_centre(np.eye(2), (75.0, 0.0)), deformable=False)
    assert found["view"].value < 0.4
    assert "of the smaller field of view lies in the other one" in str(found["view"])
    assert "outside the other" in str(found["shift"])


def test_a_slab_in_a_head_is_in_view():
    pair = deformed_pair((48, 52, 44), np.random.default_rng(3), affine=False)
    result = varreg.solve(pair.moving, pair.fixed[:, :, 16:30], threads=1, affine=None)
    view = next(check for check in result.checks if check.name == "view")
    assert view.passed


def test_a_turned_head_is_told():
    moving, fixed = head()
    found = warned(moving, fixed, affine=about_centre(turn(180.0)))
    assert "orientation" in found
    assert found["orientation"].value > found["orientation"].limit


def test_a_mirrored_slice_is_told():
    x, y = np.mgrid[:112, :104].astype(float)

    def blob(a, b, r, s):
        return np.exp(-(((x - a) / r) ** 2 + ((y - b) / s) ** 2))

    inside = 1.0 * (((x - 55) / 44) ** 2 + ((y - 51) / 36) ** 2 < 1)
    fixed = inside * (0.4 + 0.6 * blob(38, 38, 9, 14) - 0.3 * blob(70, 68, 14, 8))
    moving = (inside * (0.9 - fixed))[::-1]
    found = warned(moving, fixed)
    assert "left and right may be exchanged" in str(found["mirror"])


def test_nothing_shared():
    random = np.random.default_rng(0)
    noise = [random.random((112, 104)) for _ in range(2)]
    found = warned(*noise, affine=None)
    assert "hardly more than chance" in str(found["shared"])


def test_a_deformation_that_does_the_work_of_the_affine_part():
    moving, fixed = head()
    found = warned(moving, fixed, affine=about_centre(1.6 * np.eye(2)))
    assert "Beyond its affine part the map moves the head by" in str(found["deformation"])
    assert "moves a point of the head by" in str(found["displacement"])
    assert "smoothness term is" in str(found["smoothness"])


def test_images_that_coincide_are_said_to():
    pair = deformed_pair((112, 104), np.random.default_rng(0))
    moving = 1 - pair.fixed / pair.fixed.max()  # another contrast of the same
    found = warned(moving, pair.fixed, affine="rigid", deformable=False)
    assert "the headers already align the images" in str(found["coincidence"])
    assert "rigid" not in found["coincidence"].remedy  # it is
    assert "affine='rigid'" in warned(moving, pair.fixed, affine="affine")["coincidence"].remedy
    assert warned(pair.fixed, pair.fixed).get("coincidence") is None


def test_folds_of_a_map_of_others():
    moving, fixed = head()
    folded = np.zeros((2, *fixed.shape))
    folded[0, 50:56, 40:60] = 9 * np.linspace(1, -1, 6)[:, None]
    certificate = varreg.certify(moving, fixed, folded, threads=1, iterations=0)
    (check,) = (check for check in certificate.warnings if check.name == "folds")
    assert "the map may fold" in str(check)
    assert str(certificate).splitlines()[0].startswith("Checks: ")
    assert "Possible remedies: " in str(certificate).splitlines()[1]


def test_a_map_that_ends_at_the_bound_against_folds():
    """Images of nothing alike, and next to no regularity: only the bound keeps the map from folding."""
    rng = np.random.default_rng(0)
    moving, fixed = (ndimage.gaussian_filter(rng.normal(size=(64, 64)), 2.5) for _ in range(2))
    loose = dict(
        smoothness_weight=0.002,
        smoothness_length=2.0,
        smoothness_order=2,
        affine=None,
        iterations=40,
    )
    check = warned(moving, fixed, deformable=True, **loose)["folds"]
    assert "limited by the bound" in check.sentence
    assert "volume_weight" in check.remedy
    assert "folds" not in warned(moving, fixed, deformable=True, **loose, volume_weight=0.6)


def test_squared_differences_are_checked_as_far_as_they_go():
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    result = varreg.solve(pair.fixed, np.roll(pair.fixed, 2, 0), similarity="ssd", threads=1)
    names = {check.name for check in result.checks}
    assert names == NAMES - {"shared", "orientation", "mirror", "placement", "smoothness"}


def test_words_for_any_checks():
    assert first_line(()) == NONE_MADE
    assert remedies(()) == ""


def test_the_same_whatever_the_number_of_threads():
    moving, fixed = head()
    one, two = (varreg.solve(moving, fixed, threads=n).checks for n in (1, 2))
    assert one == two


def test_a_head_is_found_on_black_and_on_white_glass():
    x, y = np.mgrid[:60, :80]
    disc = ((x - 25) ** 2 + (y - 50) ** 2 < 15**2).astype(np.float32)
    grid = Grid.with_spacing((60, 80), (2.0, 2.0))
    for image in (disc, 1 - disc):
        found = head_of(LevelImage(image, None, grid))
        np.testing.assert_array_equal(found.shown, disc > 0)
        np.testing.assert_allclose(found.centre, [50, 100])
        assert found.size == pytest.approx(60, rel=0.02)


def test_an_image_without_contrast_is_all_head():
    grid = Grid.with_spacing((10, 12))
    assert head_of(LevelImage(np.zeros((10, 12), np.float32), None, grid)).shown.all()


@pytest.mark.parametrize("d", [2, 3])
def test_signed_permutations_are_all_different_isometries(d):
    found = signed_permutations(d)
    np.testing.assert_array_equal(found[0], np.eye(d))
    np.testing.assert_allclose(
        found @ found.transpose(0, 2, 1), np.broadcast_to(np.eye(d), found.shape)
    )
    assert len(np.unique(found.reshape(len(found), -1), axis=0)) == len(found)
    assert np.isclose(np.linalg.det(found), 1).sum() == len(found) // 2
