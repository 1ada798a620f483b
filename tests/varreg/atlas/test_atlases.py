"""What is taken as a collection of atlases, and what is refused."""

import nibabel
import numpy as np
import pytest

import varreg
from varreg.atlas.atlases import Atlas, as_atlases


@pytest.fixture
def folder(tmp_path):
    for name in ("b", "a"):
        for side in ("image", "labels"):
            image = nibabel.Nifti1Image(np.eye(8)[..., None].astype(np.uint8), np.eye(4))
            image.to_filename(tmp_path / f"{name}_{side}.nii.gz")
    return tmp_path


def test_a_folder(folder):
    (folder / "readme.txt").write_text("not an image")
    (folder / "other.nii.gz").write_text("of no atlas")
    found = as_atlases(folder)
    assert [atlas.name for atlas in found] == ["a", "b"]
    assert found[0] == Atlas("a", folder / "a_image.nii.gz", folder / "a_labels.nii.gz")


@pytest.mark.parametrize("given", ["folder", "file"])
def test_a_table(folder, given):
    (folder / "atlases.tsv").write_text("image\tlabels\tname\nb_image.nii.gz\ta_labels.nii.gz\tB\n")
    found = as_atlases(folder if given == "folder" else folder / "atlases.tsv")
    assert found == [Atlas("B", folder / "b_image.nii.gz", folder / "a_labels.nii.gz")]


def test_a_list():
    found = as_atlases([("x/c_image.nii.gz", "l.nii.gz"), (np.eye(8), np.eye(8))])
    assert [atlas.name for atlas in found] == ["c", "atlas 2"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ([], "got an empty list"),
        (3, "got int"),
        ([np.eye(8)], r"`atlases\[0\]` must be \(image, labels\); got ndarray"),
        ([(1, 2, 3)], "got tuple of length 3"),
        ("absent", "cannot be read"),
    ],
)
def test_what_is_no_collection_is_refused(given, sentence):
    with pytest.raises(varreg.VarregError, match=sentence):
        as_atlases(given)


def test_folders_that_are_not_whole_are_refused(folder, tmp_path):
    (folder / "b_labels.nii.gz").unlink()
    with pytest.raises(
        varreg.FileError, match="'b_image' without 'b_labels'; every atlas needs both"
    ):
        as_atlases(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(varreg.FileError, match="holds no atlases; name their files NAME_image"):
        as_atlases(empty)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("image,label\na,b\n", "must have the columns image and labels"),
        ("image,labels\n", "got 0 lines"),
        ("image,labels\na_image.nii.gz,no.nii.gz\n", "line 2 of .* names the labels 'no.nii.gz'"),
    ],
)
def test_tables_that_are_not_whole_are_refused(folder, text, sentence):
    (folder / "atlases.csv").write_text(text)
    with pytest.raises(varreg.VarregError, match=sentence):
        as_atlases(folder)
