"""A saved result comes back bit by bit."""

import nibabel
import numpy as np
import pytest

from varreg.errors import FileError
from varreg.images.image import Image
from varreg.io import result_folder
from varreg.results.result import Result

from .results import make, same, slice_of_a_volume, volume


def affine_only():
    rng = np.random.default_rng(2)
    fixed, moving = (Image.from_array(rng.random((8, 9)), spacing=0.7) for _ in range(2))
    return make(fixed, moving, None)


MAKERS = [volume, slice_of_a_volume, affine_only]


@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_saved_is_loaded_bit_by_bit(maker, tmp_path):
    result = maker()
    result.save(tmp_path / "out")
    loaded = Result.load(tmp_path / "out")
    for name in ("affine", "nodes", "frame"):
        assert same(getattr(loaded.transform, name), getattr(result.transform, name)), name
    for name in ("fixed", "moving"):
        assert same(getattr(loaded.transform, name).affine, getattr(result.transform, name).affine)
        assert getattr(loaded, name) is None
    for name in ("data", "frame", "slice_step"):
        assert same(getattr(loaded.warped, name), getattr(result.warped, name)), name
    assert loaded.warped.volume_shape == result.warped.volume_shape
    for name in (
        "history levels options energy start_energy smallest_determinant overlap provenance "
        "fixed_name moving_name"
    ).split():
        assert getattr(loaded, name) == getattr(result, name), name
    assert str(loaded) == str(result)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_loaded_result_can_do_what_it_could_before(maker, tmp_path):
    result = maker()
    result.save(tmp_path / "out")
    loaded = Result.load(tmp_path / "out" / "result.json")
    image = result.moving.data
    np.testing.assert_array_equal(loaded.warp(image), result.warped.data)
    np.testing.assert_array_equal(loaded.displacement, result.displacement)
    np.testing.assert_array_equal(loaded.jacobian(), result.jacobian())
    centre = result.transform.fixed.centre
    np.testing.assert_array_equal(loaded.points(centre), result.points(centre))
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again" / "result.json").read_bytes() == (
        tmp_path / "out" / "result.json"
    ).read_bytes()


def test_the_warped_image_lies_where_the_fixed_image_lies(tmp_path):
    result = volume()
    result.save(tmp_path / "out")
    image = nibabel.load(tmp_path / "out" / "warped.nii.gz")
    np.testing.assert_allclose(image.affine, result.transform.fixed.affine, atol=1e-5)
    np.testing.assert_array_equal(np.asarray(image.dataobj), result.warped.data)


def test_nothing_is_replaced_unasked_and_foreign_folders_never(saved, tmp_path):
    with pytest.raises(FileError, match="overwrite"):
        volume().save(saved)
    volume().save(saved, overwrite=True)
    assert Result.load(saved).transform.fixed.dim == 3
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("all of it")
    with pytest.raises(FileError):
        volume().save(tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "all of it"


@pytest.mark.parametrize("broken", ["write_image", "write_nodes", "write_json"])
def test_an_interrupted_save_leaves_the_old_result(saved, monkeypatch, broken):
    before = {entry.name: entry.read_bytes() for entry in saved.iterdir()}

    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(result_folder, broken, interrupt)
    with pytest.raises(KeyboardInterrupt):
        volume().save(saved, overwrite=True)
    assert {entry.name: entry.read_bytes() for entry in saved.iterdir()} == before
    assert [entry.name for entry in saved.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("path", ["absent", ".", 3, "\0"])
def test_what_is_no_result_is_named(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match=r"varreg\.load: `path` is"):
        Result.load(path)
