"""Files appear whole or not at all, and images come back from the files they are written to."""

import errno
import json
import os

import numpy as np
import pytest

from varreg.errors import FileError, InputError
from varreg.images.accepted import Image, as_image
from varreg.io import publishing
from varreg.io.files import atomic_folder, atomic_path, read_json, write_image, write_json


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.mark.parametrize("suffix", [".nii.gz", ".json", ".png", ""])
def test_the_temporary_file_keeps_folder_and_suffix(tmp_path, suffix):
    path = tmp_path / f"sub-01.5mm{suffix or 'x'}"
    with atomic_path(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith(suffix)
        assert not path.exists()
        temporary.write_bytes(b"whole")
    assert path.read_bytes() == b"whole"
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_the_old_file_and_no_litter(tmp_path, error):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path, overwrite=True) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_replacing_needs_to_be_asked_for(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(FileError, match="overwrite=True .*--force"), atomic_path(path):
        pytest.fail("the block must not start")
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_a_file_that_comes_up_meanwhile_is_not_replaced(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(FileError, match="exists"), atomic_path(path) as temporary:
        temporary.write_text("mine")
        path.write_text("theirs")
    assert path.read_text() == "theirs"
    assert names(tmp_path) == ["a.txt"]


def test_unusable_destinations_are_explained(tmp_path):
    for path, words in [
        (tmp_path / "absent" / "a.txt", "does not exist; make it"),
        (tmp_path, "is a folder"),
        ("a\0b", "not a usable path"),
        (tmp_path / ("n" * 300), "is a folder|cannot be written|not a usable|shorter"),
    ]:
        with pytest.raises(FileError, match=words), atomic_path(path) as temporary:
            temporary.write_text("x")
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_faults_of_the_disk_become_file_errors(tmp_path, number):
    with pytest.raises(FileError, match="cannot be written"), atomic_path(tmp_path / "a"):
        raise OSError(number, os.strerror(number))
    assert names(tmp_path) == []


def test_other_errors_of_the_block_stay_what_they_are(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        open(tmp_path / "not there")


def test_folders_are_whole_or_absent(tmp_path):
    path = tmp_path / "out"
    with pytest.raises(KeyError), atomic_folder(path) as temporary:
        (temporary / "half").write_text("x")
        raise KeyError
    assert names(tmp_path) == []
    with atomic_folder(path) as temporary:
        (temporary / "result.json").write_text("1")
    with pytest.raises(FileError, match="overwrite"), atomic_folder(path):
        pytest.fail("the block must not start")
    with pytest.raises(KeyError), atomic_folder(path, overwrite=True):
        raise KeyError
    assert (path / "result.json").read_text() == "1"
    with atomic_folder(path, overwrite=True) as temporary:
        (temporary / "result.json").write_text("2")
        (temporary / "inner").mkdir()
    assert names(path) == ["inner", "result.json"]
    assert names(tmp_path) == ["out"]


def test_the_old_folder_comes_back_if_the_rename_fails(tmp_path, monkeypatch):
    path = tmp_path / "out"
    path.mkdir()
    (path / "result.json").write_text("old")
    rename, left = os.rename, ["once"]

    def failing(source, target):
        if target == path and left:
            raise OSError(errno.EIO, left.pop())
        rename(source, target)

    monkeypatch.setattr(publishing, "exchange", lambda one, other: False)
    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(FileError), atomic_folder(path, overwrite=True) as temporary:
        (temporary / "result.json").write_text("new")
    assert (path / "result.json").read_text() == "old"
    assert names(tmp_path) == ["out"]


def test_a_folder_that_is_not_ours_is_never_replaced(tmp_path):
    path = tmp_path / "photographs"
    path.mkdir()
    (path / "holiday.jpg").write_text("dear")
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "file").write_text("x")
    for name in ("photographs", "link", "file"):
        with pytest.raises(FileError), atomic_folder(tmp_path / name, overwrite=True):
            pytest.fail("the block must not start")
    assert (path / "holiday.jpg").read_text() == "dear"


def test_json_comes_back_sorted_and_without_nan(tmp_path):
    path = tmp_path / "a.json"
    content = {
        "b": np.float64("nan"),
        "a": np.arange(3),
        "c": [np.inf, (1, True)],
        "p": tmp_path,
        "n": {"x": None, "i": np.int64(2**40)},
    }
    write_json(path, content)
    expected = {
        "a": [0, 1, 2],
        "b": None,
        "c": [None, [1, True]],
        "n": {"i": 2**40, "x": None},
        "p": str(tmp_path),
    }
    assert read_json(path) == expected
    assert list(json.loads(path.read_text())) == sorted(expected)
    with pytest.raises(InputError, match="`content` holds a set"):
        write_json(path, {"a": {1}}, overwrite=True)
    assert read_json(path) == expected


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b"null"]
)
def test_damaged_json_is_a_file_error(tmp_path, content):
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(FileError, match="read_json"):
        read_json(path)
    with pytest.raises(FileError, match="read_json"):
        read_json(tmp_path)


AFFINE = np.array([[0, 0, -3.0, 5], [0, 2, 0, -7], [1.5, 0, 0, 9], [0, 0, 0, 1]])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mgh", ".mgz"])
@pytest.mark.parametrize("shape", [(6, 7, 8), (6, 7)])
def test_volumes_come_back_with_values_and_place(tmp_path, suffix, shape):
    generator = np.random.default_rng(0)
    affine = AFFINE if len(shape) == 3 else np.array([[2.0, 0, 3], [0, 1.5, 4], [0, 0, 1]])
    image = Image.from_array(generator.normal(size=shape), affine=affine)
    path = tmp_path / f"a{suffix}"
    write_image(path, image.data, image)
    back = as_image(path, argument="moving")
    np.testing.assert_array_equal(back.data, image.data)
    assert back.grid.same_space(image.grid)
    labels = generator.integers(0, 1000, shape)
    write_image(path, labels, image, overwrite=True)
    np.testing.assert_array_equal(as_image(path, argument="moving").data, labels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64])
def test_labels_come_back_from_pictures_as_they_are(tmp_path, suffix, dtype):
    labels = np.random.default_rng(0).integers(0, 200, (6, 7)).astype(dtype)
    image = Image.from_array(labels)
    write_image(tmp_path / f"a{suffix}", labels, image)
    np.testing.assert_array_equal(
        as_image(tmp_path / f"a{suffix}", argument="moving").data, image.data
    )


def test_a_png_is_stretched_and_a_tiff_is_exact(tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 40)).astype(np.float32)
    values[3, 4] = 1e6
    image = Image.from_array(values)
    write_image(tmp_path / "a.tif", values, image)
    write_image(tmp_path / "a.png", values, image)
    np.testing.assert_array_equal(as_image(tmp_path / "a.tif", argument="moving").data, values)
    grey = as_image(tmp_path / "a.png", argument="moving").data
    inside = (grey > 0) & (grey < 65535)
    assert inside.mean() > 0.99
    assert np.corrcoef(values[inside], grey[inside])[0, 1] > 0.999


def test_what_a_file_type_cannot_hold_is_refused_without_litter(tmp_path):
    flat, volume = Image.from_array(np.eye(6)), Image.from_array(np.eye(36).reshape(6, 6, 36))
    for name, array, like, words in [
        ("a.png", volume.data, volume, "write NIfTI"),
        ("a.jpg", flat.data, flat, "write NIfTI"),
        ("a.png", np.full((6, 6), -1), flat, "labels from -1"),
        ("a.png", np.full((6, 6), np.inf), flat, "infinity"),
        ("a.nii", np.full((6, 6), 2**60), flat, "too large"),
        ("a.nii", np.eye(7), flat, "shape"),
        ("a.nii", np.eye(6) * 1j, flat, "real numbers"),
        ("a.xyz", flat.data, flat, "not known"),
    ]:
        with pytest.raises((InputError, FileError), match=words):
            write_image(tmp_path / name, array, like)
    assert names(tmp_path) == []
