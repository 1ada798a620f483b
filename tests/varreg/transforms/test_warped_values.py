"""Values that are not to be interpolated come through a map with all their bits, and pictures as pictures."""

import nibabel
import numpy as np
import pytest
import skimage.io

import varreg
from varreg.errors import InputError
from varreg.geometry.grid import Grid
from varreg.transforms.warped_pixels import warped_pixels

SHAPE = (14, 17)
SHIFT = np.array([[1.0, 0, 3], [0, 1, 0], [0, 0, 1]])
TRANSFORM = varreg.Transform(*[Grid.with_spacing(SHAPE)] * 2, SHIFT)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint32, np.int64])
def test_nearest_voxels_of_integers_keep_value_and_type(dtype):
    """614454277 became 614454272."""
    labels = np.full(SHAPE, 7, dtype)
    labels[3:10, 4:12] = min(614454277, np.iinfo(dtype).max)
    for found in (TRANSFORM.warp(labels, "nearest"), TRANSFORM.warp(nibabel_of(labels), "nearest")):
        assert found.dtype == dtype
        np.testing.assert_array_equal(found[:11], labels[3:])
        assert (found[11:] == 7).all()
    back = TRANSFORM.inverse().warp(labels, "nearest", fill=1)
    np.testing.assert_array_equal(back[3:], labels[:11])
    assert (back[:3] == 1).all() and back.dtype == dtype


def nibabel_of(array):
    kind = array.dtype if array.dtype != np.int64 else None
    return nibabel.Nifti1Image(array[..., None], np.eye(4), dtype=kind or np.int64)


def test_a_fill_that_the_type_does_not_hold_is_refused():
    for fill in (-1, 0.5, 300, np.nan):
        with pytest.raises(InputError, match="`fill` must be a whole number from 0 to 255"):
            TRANSFORM.warp(np.zeros(SHAPE, np.uint8), "nearest", fill=fill)
    for fill in ("0", np.inf, True):
        with pytest.raises(InputError, match=r"Transform.warp: `fill` must be a number"):
            TRANSFORM.warp(np.zeros(SHAPE), fill=fill)


@pytest.mark.parametrize("channels", [(), (2,), (3,), (4,)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_picture_keeps_colours_opacity_and_depth(tmp_path, channels, suffix):
    from varreg.images.pictures import write_picture

    pixels = np.full((*SHAPE, *channels), 230, np.uint8)
    pixels[4:9, 5:11] = np.random.default_rng(0).integers(0, 255, (5, 6, *channels))
    if channels in ((2,), (4,)):
        pixels[..., -1] = 255
    path = tmp_path / f"a{suffix}"
    write_picture(path, pixels, function="test")
    np.testing.assert_array_equal(skimage.io.imread(path), pixels)
    found = warped_pixels(TRANSFORM, path, function="test")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[:11], pixels[3:])
    outside = found[11:].reshape(3, SHAPE[1], -1)
    assert (outside[..., : 3 if channels in ((3,), (4,)) else 1] == 230).all()
    if channels in ((2,), (4,)):
        assert (outside[..., -1] == 0).all()


def test_what_is_interpolated_is_rounded_to_what_the_picture_holds(tmp_path):
    skimage.io.imsave(tmp_path / "a.png", np.tile(np.arange(0, 34, 2, dtype=np.uint8), (14, 1)))
    half = np.array([[1.0, 0, 0], [0, 1, 0.5], [0, 0, 1]])
    transform = varreg.Transform(*[Grid.with_spacing(SHAPE)] * 2, half)
    found = warped_pixels(transform, tmp_path / "a.png", "cubic", function="test")
    np.testing.assert_array_equal(found[:, 2:14], np.tile(np.arange(5, 29, 2), (14, 1)))
