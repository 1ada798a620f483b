"""Images, pairs and masks: what is accepted keeps its values and its place, the rest is refused."""

import gzip
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from varreg.errors import FileError, GeometryError, InputError, VarregError
from varreg.geometry.grid import Grid
from varreg.images.accepted import Image, as_image, as_mask, as_pair, vector_to_nifti


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def rotation(degrees, axis=0):
    """Rotation about a world axis, (3, 3)."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = [k for k in range(3) if k != axis]
    matrix[i, i], matrix[j, j], matrix[i, j], matrix[j, i] = cosine, cosine, -sine, sine
    return matrix


def oblique_affine(order=(0, 1, 2), flips=(1, 1, 1)):
    """Anisotropic voxels, rotated twice, with permuted and flipped array axes."""
    linear = rotation(20, 0) @ rotation(-35, 2) @ np.diag([0.8, 1.1, 2.5])
    affine = np.eye(4)
    affine[:3, :3] = linear[:, list(order)] * np.array(flips)
    affine[:3, 3] = [-30.0, 12.0, 44.0]
    return affine


def take(value, **options):
    return as_image(value, argument="moving", **options)


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


def slice_image(affine, shape=(8, 9, 1), seed=0):
    return nibabel.Nifti1Image(noise(shape, seed), affine)


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


STRUCTURED = np.zeros((5, 6, 7), [("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.full((5, 6, 7), np.nan), "every voxel is NaN, infinite or transparent"),
        (np.full((5, 6, 7), -np.inf), "every voxel is NaN, infinite or transparent"),
        (noise((5, 6)).astype(np.float64) * 1e300, "float32"),
        (np.array([[-3e38, 3e38] * 4] * 6), "float32"),
        (np.full((5, 6), 3.0), "is constant .every voxel is 3"),
        (np.zeros((5, 0)), "is empty"),
        (np.zeros((3, 9)), "at least 4 voxels"),
        (np.zeros((1, 1, 9)), "at least 4 voxels"),
        (np.zeros((8, 8, 3)), "colour channels"),
        (np.float32(3), "2 or 3 axes"),
        (np.zeros(9), "2 or 3 axes"),
        (np.zeros((5, 5, 5, 2)), "take one volume"),
        (np.zeros((5, 5, 5, 1, 1)), "take one volume"),
        (noise((5, 6)) * 1j, "numpy.abs"),
        (STRUCTURED, "one channel"),
        (np.array([["a"] * 5] * 5), "dtype <U1"),
        (np.zeros((5, 6), "M8[s]"), "array of numbers"),
        (np.full((5, 6), None), "array of numbers"),
        ([[1, 2], [3]], "cannot be made an array"),
        (np.ma.masked_less(noise((5, 6)), 1e9), "holds no data"),
        (None, "array of numbers"),
        (object(), "array of numbers"),
        (b"a.nii", "array of numbers"),
        (nibabel.Nifti1Image(STRUCTURED.astype([(c, "u1") for c in "RGB"]), np.eye(4)), "channel"),
        (nibabel.Nifti1Image(noise((5, 6, 7, 8)), np.eye(4)), "take one volume"),
        (nibabel.Nifti1Image(np.full((5, 6, 7), np.nan), np.eye(4)), "holds no data"),
    ],
)
def test_what_is_no_image_is_refused_by_name(value, words):
    with pytest.raises(InputError, match=words) as caught:
        take(value, function="varreg.certify")
    assert str(caught.value).startswith("varreg.certify: `moving`")


@pytest.mark.parametrize("shape", [(5, 6, 7), (5, 6, 1)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_an_affine_that_makes_no_sense_is_refused_by_name(tmp_path, shape, bad):
    raw = saved(tmp_path / "a.nii", shape)
    (tmp_path / "a.nii").write_bytes(patched(raw, srow_x=bad, srow_y=bad, sform_code=1))
    with pytest.raises(GeometryError, match="varreg.solve: `moving` has no valid place"):
        take(tmp_path / "a.nii")


def test_a_file_without_a_form_and_a_slice_without_thickness_are_accepted(tmp_path):
    nibabel.save(nibabel.Nifti1Image(noise((5, 6, 7)), None), tmp_path / "a.nii")
    assert take(tmp_path / "a.nii").grid.spacing.tolist() == [1, 1, 1]
    image = Image.from_array(noise((5, 6, 1)), affine=np.diag([2.0, 3.0, 0.0, 1.0]))
    np.testing.assert_allclose(image.volume_affine, np.diag([2.0, 3.0, 1.0, 1.0]))


def saved(path, shape=(5, 6, 7)):
    nibabel.save(nibabel.Nifti1Image(noise(shape), np.eye(4)), path)
    return path.read_bytes()


def patched(raw, **fields):
    """A NIfTI-1 file with other header fields."""
    header = nibabel.Nifti1Header(raw[:348], check=False)
    for name, value in fields.items():
        header[name] = value
    return header.binaryblock + raw[348:]


HUGE = [3, 30000, 30000, 30000, 1, 1, 1, 1]


def test_files_that_cannot_be_read_are_explained(tmp_path):
    raw, packed = saved(tmp_path / "good.nii"), saved(tmp_path / "good.nii.gz")
    turned = bytearray(packed)
    turned[-20] ^= 0xFF
    bomb = gzip.compress(gzip.decompress(packed) + bytes(1 << 25))
    for name, content in {
        "empty.nii": b"",
        "empty.png": b"",
        "cut.nii": raw[:-1],
        "cut-header.nii": raw[:200],
        "cut.nii.gz": packed[: len(packed) // 2],
        "cut-end.nii.gz": packed[:-4],
        "turned.nii.gz": bytes(turned),
        "bomb.nii.gz": bomb,
        "huge.nii": patched(raw, dim=HUGE),
        "huge.nii.gz": gzip.compress(patched(raw, dim=HUGE)),
        "offset.nii": patched(raw, vox_offset=1e30),
        "type.nii": patched(raw, datatype=9999),
        "text.nii": b"hello" * 200,
        "plain.nii.gz": raw,
        "text.png": b"hello",
        "text.tif": b"hello",
        "text.mgz": b"hello",
        "text.mgh": b"hello",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FileError) as caught:
            take(tmp_path / name)
        assert str(caught.value).startswith("varreg.solve: `moving` is ") and name in str(
            caught.value
        )
        if content:
            assert caught.value.__cause__ is not None


def test_paths_that_are_no_image_file_are_explained(tmp_path):
    (tmp_path / "a.doc").write_text("x")
    os.mkfifo(tmp_path / "pipe.nii")
    for path, words in [
        (tmp_path / "absent.nii", "does not exist"),
        (tmp_path, "is a folder"),
        (tmp_path / "a.doc", "convert it to one of .nii"),
        (tmp_path / "pipe.nii", "not a regular file"),
        ("", "folder"),
        ("a\0.nii", "exist|read"),
        ("~nobody-of-that-name/a.nii", "read|exist"),
    ]:
        with pytest.raises(FileError, match=words):
            take(path)


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
    for value in (inside, 3.5 * inside, inside[..., None], path, nibabel.load(path), place):
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


def accepted_or_refused(value):
    """Whatever comes, an image that can be registered or an error of the package."""
    try:
        image = take(value)
        assert image.data.dtype == np.float32 and np.isfinite(image.data).all()
        assert min(image.grid.shape) >= 4 and np.ptp(image.data) > 0
        assert image.to_nifti().ndim in (2, 3, 4)
    except VarregError as error:
        assert "`moving`" in str(error)
    try:
        as_mask(value, Image.from_array(noise((6, 5))), argument="mask")
    except VarregError as error:
        assert "`mask`" in str(error)


ODD_TYPES = arrays.scalar_dtypes() | st.sampled_from(["O", "V3", "S2", "U2", "f2", "f8"]).map(
    np.dtype
)
ODD_SHAPES = st.lists(st.sampled_from([0, 1, 3, 5, 6]), max_size=5).map(tuple)


@settings(max_examples=250)
@given(st.data())
def test_no_array_escapes_with_a_foreign_error(data):
    dtype, shape = data.draw(ODD_TYPES), data.draw(ODD_SHAPES)
    if dtype.kind in "OV":
        accepted_or_refused(np.zeros(shape, dtype))
    else:
        accepted_or_refused(data.draw(arrays.arrays(dtype, shape)))


def contents(folder):
    """Small good files of several types."""
    image = nibabel.Nifti1Image(np.arange(120, dtype=np.int16).reshape(6, 5, 4), np.eye(4))
    flat = nibabel.Nifti1Image(np.arange(30, dtype=np.int16).reshape(6, 5, 1), oblique_affine())
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(flat, folder / name)
    nibabel.save(nibabel.MGHImage(np.asarray(image.dataobj), np.eye(4)), folder / "a.mgh")
    nibabel.save(nibabel.MGHImage(np.asarray(flat.dataobj), np.eye(4)), folder / "a.mgz")
    from skimage import io

    for name in ("a.png", "a.tif", "a.bmp", "a.jpg"):
        io.imsave(folder / name, np.arange(30, dtype=np.uint8).reshape(6, 5), check_contrast=False)
    return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return folder, contents(folder)


@settings(max_examples=400)
@given(data=st.data())
def test_no_damaged_file_escapes_with_a_foreign_error(good, data):
    folder, files = good
    name = data.draw(st.sampled_from(sorted(files)))
    raw = bytearray(files[name])
    packed = name.endswith((".gz", ".mgz"))
    if packed and data.draw(st.booleans()):  # damage what is inside a sound gzip file
        raw = bytearray(gzip.decompress(raw))
    else:
        packed = False
    for _ in range(data.draw(st.integers(0, 4))):
        raw[data.draw(st.integers(0, min(len(raw), 400) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    path = folder / f"damaged-{name}"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    accepted_or_refused(path)
