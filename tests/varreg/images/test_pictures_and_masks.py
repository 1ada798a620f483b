"""Pictures, masks, and what is written."""

import nibabel
import numpy as np
import pytest

from varreg.errors import FileError, GeometryError, InputError
from varreg.images.accepted import Image, as_mask, vector_to_nifti

from .image_files import noise, oblique_affine, slice_image, take


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".jpg"])
def test_pictures_become_grey_images(tmp_path, suffix):
    from skimage import color, io

    grey = np.random.default_rng(0).integers(0, 255, (20, 30), dtype=np.uint8)
    path = tmp_path / f"a{suffix}"
    io.imsave(path, grey, check_contrast=False)
    image = take(path)
    assert image.grid.shape == (20, 30) and image.frame is None
    if suffix != ".jpg":
        np.testing.assert_array_equal(image.data, grey)
    rgb = np.stack([grey, grey // 2, 255 - grey], axis=-1)
    io.imsave(path, rgb, check_contrast=False)
    tolerance = 0.4 if suffix == ".jpg" else 1e-6
    np.testing.assert_allclose(take(path).data, color.rgb2gray(rgb), atol=tolerance)
    if suffix == ".png":
        io.imsave(path, np.concatenate([rgb, grey[..., None]], -1), check_contrast=False)
        seen = take(path)
        np.testing.assert_array_equal(seen.valid, grey > 127)
        np.testing.assert_allclose(
            seen.data[seen.valid], color.rgb2gray(rgb)[seen.valid], atol=1e-6
        )
    if suffix == ".tif":
        io.imsave(path, np.stack([grey] * 6), check_contrast=False)
        with pytest.raises(InputError, match="one 2D page"):
            take(path)


def test_a_mask_of_two_values_is_true_where_it_has_the_larger(tmp_path):
    affine = oblique_affine()
    image = Image.from_array(noise((5, 6, 7)), affine=affine)
    inside = noise((5, 6, 7)) > 0.2
    path = tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(inside * np.int16(7), affine.astype(np.float32)), path)
    place = Image.from_array(inside, affine=affine)
    for value in (inside, 7.0 * inside, inside[..., None], path, nibabel.load(path), place):
        mask = as_mask(value, image, argument="fixed_mask")
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, inside)
    assert as_mask(None, image, argument="fixed_mask") is None
    assert as_mask(np.ones((5, 6, 7)), image, argument="fixed_mask").all()


def test_a_mask_of_a_slice_must_be_of_that_slice():
    affine = oblique_affine()
    image = take(slice_image(affine))
    ones = np.ones((8, 9, 1), np.uint8)
    assert as_mask(ones, image, argument="m").shape == (8, 9)
    assert as_mask(nibabel.Nifti1Image(ones, affine), image, argument="m").all()
    other = affine.copy()
    other[:3, 3] += affine[:3, 2]
    with pytest.raises(GeometryError, match="another place"):
        as_mask(nibabel.Nifti1Image(ones, other), image, argument="m")
    moved = affine.copy()  # within the plane it is another grid
    moved[:3, 3] += 3 * affine[:3, 0]
    found = as_mask(nibabel.Nifti1Image(ones, moved), image, argument="m")
    np.testing.assert_array_equal(found, np.indices((8, 9))[0] >= 3)
    other = np.eye(4)
    with pytest.raises(GeometryError, match="another place"):
        as_mask(nibabel.Nifti1Image(ones, other), image, argument="m")


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.ones((5, 6, 8)), InputError, r"shape \(5, 6, 8\)"),
        (np.ones((5, 6)), InputError, "shape"),
        (np.zeros((5, 6, 7)), InputError, "0 voxels inside"),
        (np.arange(210).reshape(5, 6, 7) < 15, InputError, "15 voxels inside"),
        (np.full((5, 6, 7), np.nan), InputError, "holds no data"),
        ("absent.nii", FileError, "does not exist"),
        (-1.0 * (noise((5, 6, 7)) > 0), InputError, "no positive value"),
        (
            nibabel.Nifti1Image(np.ones((5, 6, 7), "u1"), np.eye(4) + 6 * np.eye(4, k=3)),
            GeometryError,
            "place",
        ),
    ],
)
def test_what_is_no_mask_is_refused_by_name(value, error, words):
    image = Image.from_array(noise((5, 6, 7)))
    with pytest.raises(error, match=words) as caught:
        as_mask(value, image, argument="fixed_mask")
    assert str(caught.value).startswith("varreg.solve: `fixed_mask`")


@pytest.mark.parametrize(
    ("given_type", "written"),
    [
        ("?", "u1"),
        ("u1", "u1"),
        ("i2", "i2"),
        ("i8", "u1"),
        ("u8", "u1"),
        ("f2", "f4"),
        ("f8", "f8"),
    ],
)
def test_labels_are_written_in_types_that_others_read(given_type, written):
    labels = (np.arange(210).reshape(5, 6, 7) % 2).astype(given_type)
    image = Image.from_array(noise((5, 6, 7)), affine=oblique_affine())
    result = image.to_nifti(labels)
    assert result.get_data_dtype() == np.dtype(written)
    np.testing.assert_array_equal(np.asarray(result.dataobj), labels)
    assert (int(result.header["sform_code"]), int(result.header["qform_code"])) == (2, 2)
    assert image.to_nifti(labels.astype("f8").astype("i8") * 70000).get_data_dtype() == np.int32
    with pytest.raises(InputError, match="too large"):
        image.to_nifti(labels.astype("f8").astype("i8") * 2**40)
    with pytest.raises(InputError, match="shape"):
        image.to_nifti(np.zeros((7, 6, 5)))


def test_a_sheared_affine_is_written_without_a_wrong_quaternion():
    affine = np.eye(4)
    affine[0, 1] = 0.3
    header = Image.from_array(noise((5, 6, 7)), affine=affine).to_nifti().header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (2, 0)
    np.testing.assert_allclose(header.get_sform(), affine, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 1, 7), (5, 6)])
def test_vectors_are_written_components_last(shape):
    image = Image.from_array(noise(shape))
    field = noise((image.grid.dim, *image.grid.shape), seed=1)
    result = vector_to_nifti(image, field)
    space = shape if len(shape) == 3 else (*shape, 1)
    assert result.shape == (*space, 1, len(field))
    assert int(result.header["intent_code"]) == 1007
    back = np.moveaxis(np.asarray(result.dataobj), -1, 0).reshape(field.shape)
    np.testing.assert_array_equal(back, field)
    with pytest.raises(InputError, match="components first"):
        vector_to_nifti(image, np.moveaxis(field, 0, -1))
