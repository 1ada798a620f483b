"""Values and place of what is accepted as an image."""

import os

import nibabel
import numpy as np
import pytest

from varreg.errors import GeometryError, InputError
from varreg.geometry.grid import Grid
from varreg.images.accepted import Image, as_mask, as_pair

from .image_files import noise, oblique_affine, rotation, slice_image, take

ORDERS = [((0, 1, 2), (1, 1, 1)), ((2, 0, 1), (-1, 1, 1)), ((1, 2, 0), (1, -1, -1))]


@pytest.mark.parametrize(("order", "flips"), ORDERS)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgh", ".mgz"])
def test_an_oblique_volume_keeps_values_and_place(tmp_path, order, flips, suffix):
    data, affine = noise((5, 6, 7)), oblique_affine(order, flips)
    kind = nibabel.MGHImage if "mg" in suffix else nibabel.Nifti1Image
    path = tmp_path / f"brain{suffix}"
    nibabel.save(kind(data, affine), path)
    for value in (path, os.fspath(path), nibabel.load(path) if "nii" in suffix else path):
        image = take(value)
        np.testing.assert_array_equal(image.data, data)
        assert image.data.dtype == np.float32 and image.data.flags.c_contiguous
        assert image.grid.same_space(Grid((5, 6, 7), affine))
        assert (image.name, image.frame, image.volume_shape) == (path.name, None, None)
    assert Grid((5, 6, 7), image.to_nifti().affine).same_space(image.grid)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 7, 1), (5, 6, 1)])
def test_scaling_of_the_header_is_applied_exactly(tmp_path, dtype, suffix, shape):
    stored = np.random.default_rng(0).integers(0, 200, shape).astype(dtype)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(0.3, -1000.0)
    nibabel.save(image, tmp_path / f"a{suffix}")
    slope = np.float64(np.float32(0.3))
    # nibabel divides by the slope when it saves, so what is stored is read back from the file
    proxy = nibabel.load(tmp_path / f"a{suffix}").dataobj
    expected = proxy.get_unscaled().astype(np.float64) * slope - 1000.0
    data = take(tmp_path / f"a{suffix}").data
    np.testing.assert_array_equal(data, expected.astype(np.float32).squeeze())


def test_a_big_endian_file_and_a_fortran_array_become_native(tmp_path):
    data = noise((5, 6, 7))
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.float32)
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4), header), tmp_path / "a.nii")
    for value in (tmp_path / "a.nii", np.asfortranarray(data), data.astype(">f8"), data.tolist()):
        image = take(value)
        np.testing.assert_array_equal(image.data, data)
        assert image.data.dtype.isnative and image.data.flags.c_contiguous


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i8", "u8", "f2", "f4", "f8", "g"])
def test_every_real_number_type_is_accepted(dtype):
    data = (np.arange(48).reshape(6, 8) % 2).astype(dtype)
    np.testing.assert_array_equal(take(data).data, data.astype(np.float32))
    np.testing.assert_array_equal(take(data).grid.affine, np.eye(3))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("order", "flips"), ORDERS)
def test_a_slice_keeps_its_place_in_3d(tmp_path, axis, order, flips):
    shape = list((6, 9))
    shape.insert(axis, 1)
    affine = oblique_affine(order, flips)
    nibabel.save(nibabel.Nifti1Image(noise(shape), affine), tmp_path / "a.nii.gz")
    image = take(tmp_path / "a.nii.gz")
    assert image.grid.shape == (6, 9)
    assert image.volume_shape == tuple(shape)
    np.testing.assert_allclose(image.frame[:3, :3].T @ image.frame[:3, :3], np.eye(3), atol=1e-6)
    kept = [k for k in range(3) if k != axis]
    np.testing.assert_allclose(
        image.grid.spacing, np.linalg.norm(affine[:3, kept], axis=0), rtol=1e-6
    )
    plane = image.grid.voxel_to_world(image.grid.coordinates().reshape(2, -1))
    points = np.vstack([plane, np.zeros(54), np.ones(54)])
    voxels = np.insert(image.grid.coordinates().reshape(2, -1), axis, 0, axis=0)
    expected = affine[:3, :3] @ voxels + affine[:3, 3:]
    np.testing.assert_allclose((image.frame @ points)[:3], expected, atol=1e-4)
    back = image.to_nifti()
    assert back.shape == tuple(shape)
    np.testing.assert_allclose(back.affine, affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(back.dataobj).squeeze(), image.data)


def test_parallel_slices_come_to_share_the_in_plane_world():
    affine, shift = oblique_affine(), np.array([3.0, -2.0, 0.0])
    shifted = affine.copy()
    normal = np.cross(affine[:3, 0], affine[:3, 1])
    normal /= np.linalg.norm(normal)
    in_plane = affine[:3, :2] / np.linalg.norm(affine[:3, :2], axis=0) @ shift[:2]
    shifted[:3, 3] += in_plane + 11 * normal
    moving, fixed = as_pair(slice_image(shifted), slice_image(affine))
    moved = moving.grid.affine[:2, 2] - fixed.grid.affine[:2, 2]
    np.testing.assert_allclose(moved, shift[:2], atol=1e-9)
    np.testing.assert_allclose(moving.volume_affine, shifted, atol=1e-9)
    # the same plane stored with other axes: turned, seen from behind, and as (1, n, m)
    turned = affine[:, [2, 1, 0, 3]] * [1, -1, 1, 1]
    moving, fixed = as_pair(slice_image(turned, (1, 9, 8)), slice_image(affine))
    corner = moving.grid.voxel_to_world(np.array([2.0, 3.0]))
    np.testing.assert_allclose(corner, fixed.grid.voxel_to_world(np.array([3.0, -2.0])), atol=1e-9)
    np.testing.assert_allclose(moving.volume_affine, turned, atol=1e-9)
    same, fixed = as_pair(slice_image(affine), slice_image(affine))
    np.testing.assert_array_equal(same.grid.affine, fixed.grid.affine)


@pytest.mark.parametrize(("degrees", "accepted"), [(4.9, True), (5.1, False), (90, False)])
def test_slices_that_are_not_parallel_are_refused(degrees, accepted):
    tilted = np.eye(4)
    tilted[:3, :3] = rotation(degrees)
    if accepted:
        moving, _ = as_pair(slice_image(tilted), slice_image(np.eye(4)))
        np.testing.assert_allclose(moving.grid.spacing, [1, np.cos(np.radians(degrees))])
        mask = nibabel.Nifti1Image(np.ones((8, 9, 1), np.uint8), tilted)
        assert as_mask(mask, moving, argument="moving_mask").all()
    else:
        with pytest.raises(GeometryError, match="pass arrays"):
            as_pair(slice_image(tilted), slice_image(np.eye(4)))


def test_a_pair_must_have_one_dimension():
    with pytest.raises(InputError, match="`moving` is 2D .one slice.*`fixed` is 3D"):
        as_pair(slice_image(np.eye(4)), noise((5, 6, 7)))
    moving, fixed = as_pair(slice_image(oblique_affine()), noise((5, 6)))
    assert moving.frame is not None and fixed.frame is None


def test_arrays_can_be_given_a_place():
    image = Image.from_array(noise((5, 6)), spacing=(2, 3))
    assert image.grid.spacing.tolist() == [2, 3]
    assert Image.from_array(noise((5, 1, 6)), spacing=(2, 9, 3)).grid.spacing.tolist() == [2, 3]
    assert Image.from_array(noise((5, 6, 7)), affine=oblique_affine()).grid.dim == 3
    assert take(image) is image
    with pytest.raises(InputError, match="both given"):
        Image.from_array(noise((5, 6)), spacing=1, affine=np.eye(3))
    with pytest.raises(GeometryError, match="`array` has no valid place"):
        Image.from_array(noise((5, 6)), affine=np.zeros((3, 3)))
    with pytest.raises(InputError, match="from_array"):
        Image(noise((5, 6)).astype(np.float64), Grid.with_spacing((5, 6)))
    with pytest.raises(InputError, match="from_array"):
        Image(noise((5, 6)), Grid.with_spacing((6, 5)))
