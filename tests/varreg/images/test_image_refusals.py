"""What is no image is refused by name; files that cannot be read are explained."""

import gzip
import os

import nibabel
import numpy as np
import pytest

from varreg.errors import FileError, GeometryError, InputError
from varreg.images.accepted import Image

from .image_files import noise, take

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
