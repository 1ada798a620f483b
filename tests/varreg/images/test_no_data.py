"""NaN, infinity, transparency and what a masked array hides are no data: left out, not dark tissue."""

import nibabel
import numpy as np
import pytest
import skimage.io

import varreg
from varreg.data.phantom import deformed_pair
from varreg.errors import InputError
from varreg.geometry.grid import Grid
from varreg.images.accepted import as_image, as_mask
from varreg.images.image import Image
from varreg.images.no_data import filled
from varreg.images.warping import outside_value


def take(value):
    return as_image(value, argument="moving")


def noise(shape=(12, 14), seed=0):
    return np.random.default_rng(seed).normal(50, 10, shape).astype(np.float32)


def holes(shape=(12, 14)):
    hole = np.zeros(shape, bool)
    hole[3:8, 4:9] = hole[11, 13] = True
    return hole


def with_holes(form, tmp_path):
    """One image whose holes are marked in some way."""
    data, hole = noise(), holes()
    if form in ("nan", "inf", "-inf"):
        return np.where(hole, np.float32(form), data)
    if form == "masked":
        return np.ma.MaskedArray(np.where(hole, 1e30, data), hole)
    if form == "nifti":
        return nibabel.Nifti1Image(np.where(hole, np.nan, data)[..., None], np.eye(4))
    path = tmp_path / "a.png"
    grey, opacity = data.astype(np.uint8)[..., None], np.where(hole, 0, 255).astype(np.uint8)
    pixels = np.concatenate([grey] * (1 if form == "grey" else 3) + [opacity[..., None]], axis=-1)
    skimage.io.imsave(path, pixels, check_contrast=False)
    return path


@pytest.mark.parametrize("form", ["nan", "inf", "-inf", "masked", "nifti", "grey", "colour"])
def test_holes_are_left_out_however_they_are_marked(form, tmp_path):
    image = take(with_holes(form, tmp_path))
    np.testing.assert_array_equal(image.valid, ~holes())
    assert np.isfinite(image.data).all()
    inside = image.data[~holes()]
    assert image.data.min() >= inside.min() and image.data.max() <= inside.max()
    np.testing.assert_array_equal(np.isnan(image.values), holes())
    *_, note = image.notes
    assert note.startswith("26 voxels of `moving` (15.5 %) hold no data")


def test_an_image_without_holes_has_no_mask_and_no_note(tmp_path):
    skimage.io.imsave(tmp_path / "a.png", np.dstack([noise().astype(np.uint8)] * 3 + [np.full((12, 14), 255, np.uint8)]))  # fmt: skip
    for value in (noise(), np.ma.MaskedArray(noise()), tmp_path / "a.png"):
        assert take(value).valid is None and not any("no data" in n for n in take(value).notes)
        assert as_mask(None, take(value), argument="moving_mask") is None


def test_a_mask_and_no_data_are_both_left_out():
    mask = np.zeros((12, 14))
    mask[:6] = 1
    image = take(np.where(holes(), np.nan, noise()))
    found = as_mask(mask, image, argument="moving_mask")
    np.testing.assert_array_equal(found, (mask > 0) & ~holes())
    with_nan = as_mask(np.where(holes(), np.nan, 1), take(noise()), argument="moving_mask")
    np.testing.assert_array_equal(with_nan, ~holes())


def test_what_is_left_must_differ():
    with pytest.raises(InputError, match="`moving` is constant"):
        take(np.where(holes(), np.nan, 3.0))


def test_an_image_made_by_hand_is_treated_alike():
    made = Image.from_array(np.where(holes(), np.nan, noise()))
    raw = Image(np.where(holes(), np.float32(np.nan), noise()), Grid.with_spacing((12, 14)))
    for image in (made, raw):
        assert take(image).notes == take(made.values).notes
        np.testing.assert_array_equal(take(image).data, take(made.values).data)
    with pytest.raises(InputError, match="`valid` must be a bool array"):
        Image(noise(), Grid.with_spacing((12, 14)), valid=np.ones((2, 2), bool))


@pytest.mark.parametrize("interpolation", ["linear", "nearest", "cubic"])
def test_a_map_with_holes_keeps_them(interpolation):
    """A statistical map, NaN outside the brain: NaN there, and undisturbed inside up to the border."""
    x = np.indices((20, 24)).sum(0).astype(np.float32)
    hole = np.zeros(x.shape, bool)
    hole[:6] = True
    shift = np.eye(3)
    shift[0, 2] = 3
    transform = varreg.Transform(*[Grid.with_spacing(x.shape)] * 2, shift)
    found = transform.warp(np.where(hole, np.nan, x), interpolation, fill=-7)
    assert np.isnan(found[:3]).all() and (found[17:] == -7).all()
    np.testing.assert_allclose(found[3:17], x[6:], atol=1e-4)
    back = transform.inverse().warp(np.where(hole, np.nan, x), interpolation, fill=-7)
    assert (back[:3] == -7).all() and np.isnan(back[3:9]).all()
    np.testing.assert_allclose(back[9:], x[6:17], atol=1e-4)


def test_labels_without_data_are_no_labels():
    transform = varreg.Transform(*[Grid.with_spacing((12, 14))] * 2, np.eye(3))
    with pytest.warns(UserWarning, match="26 voxels of `labels` are NaN: taken as 0"):
        found = transform.warp_labels(np.where(holes(), np.nan, 3.0))
    np.testing.assert_array_equal(found, np.where(holes(), 0, 3))


def test_registration_with_holes_is_as_good_as_without(tmp_path):
    """Zeros in place of NaN, as was advised, cost 1.5 voxels where 0.2 are possible."""
    pair = deformed_pair((128, 128), np.random.default_rng(0))
    moving, fixed = pair.moving.copy(), pair.fixed.copy()
    moving[40:70, 30:62] = np.nan
    fixed[70:95, 60:100] = np.nan
    result = varreg.solve(moving, fixed, progress=False)
    moved = np.linalg.norm(result.displacement - pair.displacement, axis=0)
    clean = varreg.solve(pair.moving, pair.fixed, progress=False).displacement
    seen = pair.mask & np.isfinite(fixed) & np.isfinite(result.warped.values)
    assert moved[seen].mean() < np.linalg.norm(clean - pair.displacement, axis=0)[seen].mean() + 0.1
    assert "hold no data" in str(result) and len(result.notes) == 2
    assert np.isfinite(result.warped.data).all()
    assert 500 < np.isnan(result.warped.values).sum() < 1500
    result.save(tmp_path / "saved")
    loaded = varreg.load(tmp_path / "saved")
    assert loaded.notes == result.notes
    np.testing.assert_array_equal(loaded.warped.values, result.warped.values)
    np.testing.assert_array_equal(loaded.warped.data, result.warped.data)
    certificate = varreg.certify(moving, fixed, loaded, iterations=0)
    assert certificate.notes == result.notes
    result.report(tmp_path / "report.html", certificate)
    assert "nan" not in result._repr_html_().lower().split("base64")[0]


@pytest.mark.parametrize(("value", "wanted"), [(0, 0), (-1024, -1024), (255, 255)])
def test_outside_an_image_is_its_background(value, wanted):
    scan = np.full((40, 44), value, np.float32)
    scan[10:30, 12:30] = noise((20, 18))
    assert outside_value(scan) == wanted
    scan[5:15] = np.nan
    assert outside_value(scan) == wanted
    shift = np.eye(3)
    shift[0, 2] = 5
    transform = varreg.Transform(*[Grid.with_spacing(scan.shape)] * 2, shift)
    assert (transform.warp(scan)[35:] == wanted).all()
    assert (transform.warp(scan, fill=3)[35:] == 3).all()


def test_outside_an_image_that_fills_the_view_is_its_darkest_value():
    texture = np.random.default_rng(0).uniform(-900, 900, (40, 44)).astype(np.float32)
    assert -905 < outside_value(texture) < -890


def test_large_values_beside_no_data_are_no_overflow():
    data = np.full((4, 4), 3e38, np.float32)
    data[0, 0] = np.nan
    found, valid = filled(data, argument="image", function="warp")
    assert np.isfinite(found).all() and valid.sum() == 15
