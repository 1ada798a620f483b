"""What the command line says of the images it is given, and what can be said of them to it."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.data.phantom.pairs import deformed_pair

FEW = ["--levels", "2", "--iterations", "3", "--affine-iterations", "3"]
SHAPE = (64, 64)


def call(*arguments, code=0):
    outcome = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert outcome.exit_code == code, outcome.output
    return outcome


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A pair whose moving header says nothing, and its labels."""
    folder = tmp_path_factory.mktemp("images")
    pair = deformed_pair(SHAPE, np.random.default_rng(0))
    nib.Nifti1Image(pair.fixed[..., None], np.eye(4)).to_filename(folder / "fixed.nii")
    for name, data in (("moving", pair.moving), ("labels", pair.labels_moving)):
        image = nib.Nifti1Image(data[..., None], np.eye(4))
        image.header.set_sform(np.eye(4), 0)
        image.header.set_qform(np.eye(4), 0)
        image = nib.Nifti1Image(data[..., None], image.header.get_base_affine(), image.header)
        image.header["sform_code"] = image.header["qform_code"] = 0
        nib.save(image, folder / f"{name}.nii")
    return folder


def test_a_guessed_orientation_is_said_and_can_be_decided(files, tmp_path):
    images = files / "moving.nii", files / "fixed.nii"
    guessed = call("register", *images, "-o", tmp_path / "guessed", *FEW)
    assert "does not say how it lies" in guessed.stdout.splitlines()[0]
    assert "--header" in guessed.stdout.splitlines()[1]
    said = call("register", *images, "-o", tmp_path / "said", *FEW, "--header", "sform")
    assert "does not say" not in said.output
    wanted = varreg.solve(
        varreg.ImageFile(images[0], header="sform"), images[1], levels=(2,), iterations=3, affine_iterations=3
    )  # fmt: skip
    np.testing.assert_array_equal(varreg.load(tmp_path / "said").u, wanted.u)
    call("certify", *images, tmp_path / "said", "--header", "sform", "--iterations", 0)
    table = tmp_path / "pairs.csv"
    table.write_text(f"moving,fixed,name\n{images[0]},{images[1]},a\n")
    call("register", "--pairs", table, "-o", tmp_path / "many", *FEW, "--header", "sform")
    np.testing.assert_array_equal(varreg.load(tmp_path / "many" / "a").u, wanted.u)


@pytest.mark.filterwarnings("default")
def test_a_guessed_orientation_of_what_is_applied_is_said_too(files, tmp_path):
    images = files / "moving.nii", files / "fixed.nii"
    call("register", *images, "-o", tmp_path / "out", *FEW, "--header", "sform")
    applied = "apply", tmp_path / "out", files / "labels.nii", "--labels", "-o"
    assert "does not say how it lies" in call(*applied, tmp_path / "guessed.nii").stderr
    assert not call(*applied, tmp_path / "said.nii", "--header", "sform").stderr
    wanted = varreg.load(tmp_path / "out").warp_labels(np.asarray(nib.load(files / "labels.nii").dataobj))  # fmt: skip
    np.testing.assert_array_equal(
        np.asarray(nib.load(tmp_path / "said.nii").dataobj).squeeze(), wanted
    )


def test_the_value_outside_the_view_is_the_background_or_what_is_said(tmp_path):
    """Air of a CT is -1024, and it was 0, water."""
    scan = np.full((40, 40, 1), -1024, np.int16)
    scan[8:30, 10:34] = np.random.default_rng(0).integers(-100, 100, (22, 24, 1))
    nib.Nifti1Image(scan, np.eye(4)).to_filename(tmp_path / "ct.nii")
    np.savetxt(tmp_path / "shift.txt", [[1, 0, 9], [0, 1, 0], [0, 0, 1]])
    images = tmp_path / "ct.nii", tmp_path / "ct.nii"
    given = "--affine", tmp_path / "shift.txt", "--no-deformable"
    for flags, wanted in (((), -1024), (("--fill", 7), 7)):
        call("register", *images, "-o", tmp_path / "out", "--force", *given, *flags)
        assert (varreg.load(tmp_path / "out").warped.data[31:] == wanted).all()
        call("apply", tmp_path / "out", images[0], "-o", tmp_path / "a.nii", "--force", *flags)
        assert (nib.load(tmp_path / "a.nii").get_fdata()[31:] == wanted).all()
    refused = "apply", tmp_path / "out", images[0], "-o", tmp_path / "b.nii", "--fill", 3
    assert "--labels" in call(*refused, "--labels", code=2).stderr


def test_the_pixel_size_of_pictures_can_be_said(tmp_path):
    import skimage.io

    for name in ("a", "b"):
        skimage.io.imsave(tmp_path / f"{name}.png", np.random.default_rng(ord(name)).integers(0, 255, SHAPE, np.uint8))  # fmt: skip
    images = tmp_path / "a.png", tmp_path / "b.png"
    call("register", *images, "-o", tmp_path / "out", *FEW, "--spacing", "0.002,0.003")
    grid = varreg.load(tmp_path / "out").transform.moving
    np.testing.assert_allclose(grid.spacing, [0.002, 0.003])
    call("apply", tmp_path / "out", images[0], "-o", tmp_path / "c.tif", "--spacing", "0.002,0.003")
    call("register", *images, "-o", tmp_path / "no", "--spacing", "1,2,3", code=1)


def test_colours_come_out_as_colours(tmp_path):
    """They came out as 16-bit grey, with exit code 0."""
    import skimage.io

    pixels = np.full((48, 52, 3), 240, np.uint8)
    pixels[10:34, 12:40] = np.random.default_rng(0).integers(0, 255, (24, 28, 3))
    skimage.io.imsave(tmp_path / "a.png", pixels)
    np.savetxt(tmp_path / "shift.txt", [[1, 0, 9], [0, 1, 0], [0, 0, 1]])
    images = tmp_path / "a.png", tmp_path / "a.png"
    given = "--affine", tmp_path / "shift.txt", "--no-deformable"
    said = call("register", *images, "-o", tmp_path / "warped.png", *given)
    assert "MOVING is in colour" in said.stdout
    call("register", *images, "-o", tmp_path / "out", *given)
    call("apply", tmp_path / "out", images[0], "-o", tmp_path / "applied.png")
    for name in ("warped.png", "applied.png"):
        found = skimage.io.imread(tmp_path / name)
        np.testing.assert_array_equal(found[:39], pixels[9:])
        assert (found[39:] == 240).all() and found.dtype == np.uint8


def test_labels_by_the_nearest_voxel_keep_their_numbers(files, tmp_path):
    labels = np.full((*SHAPE, 1), 614454277, np.int32)
    nib.Nifti1Image(labels, np.eye(4)).to_filename(tmp_path / "labels.nii")
    images = files / "fixed.nii", files / "fixed.nii"
    call("register", *images, "-o", tmp_path / "out")
    call("apply", tmp_path / "out", tmp_path / "labels.nii", "-o", tmp_path / "a.nii", "--interpolation", "nearest")  # fmt: skip
    assert (np.asarray(nib.load(tmp_path / "a.nii").dataobj) == 614454277).all()


def test_what_is_written_stands_on_the_last_line(files, tmp_path):
    images = files / "moving.nii", files / "fixed.nii"
    said = call("register", *images, "-o", tmp_path / "out", *FEW, "--png", tmp_path / "a.png")
    last = said.stdout.splitlines()[-1]
    assert last.startswith(f"Written: {tmp_path / 'out'} (the result") and "a.png (figure)" in last
    said = call("register", *images, "-o", tmp_path / "w.nii.gz", *FEW)
    assert said.stdout.splitlines()[-1] == f"Written: {tmp_path / 'w.nii.gz'} (the warped image)."
    assert not call("register", *images, "-o", tmp_path / "q", *FEW, "--quiet").stdout
    json.loads(call("register", *images, "-o", tmp_path / "j", *FEW, "--json").stdout)


@pytest.mark.parametrize("name", ["out.mha", "out.nrrd", "out.JPG", "out.h5", "out.gz"])
def test_an_output_of_another_kind_is_refused_before_the_work(tmp_path, name):
    """It became a folder of that name, after everything had been computed."""
    said = call("register", "absent.nii", "absent.nii", "-o", tmp_path / name, code=1)
    assert "does not write" in said.stderr and not (tmp_path / name).exists()


@pytest.mark.parametrize("name", ["", ".", ".nii.gz", ".h5", "folder", "folder/", "new/"])
def test_a_transform_without_a_name_is_refused(files, tmp_path, name, monkeypatch):
    """Of an empty name became a hidden file, .1Warp.nii.gz."""
    images = files / "moving.nii", files / "fixed.nii"
    call("register", *images, "-o", tmp_path / "out", *FEW)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.rglob("*"))
    said = call("convert", "out", name, "--to", "ants", code=1)
    assert "names no file" in said.stderr
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.filterwarnings("default")
def test_points_far_outside_the_image_are_warned_of(files, tmp_path):
    call("register", files / "moving.nii", files / "fixed.nii", "-o", tmp_path / "out", *FEW)
    for text, warned in (("x,y\n5000,0\n3,4\n", True), ("x,y\n-3,70\n3,4\n", False)):
        (tmp_path / "points.csv").write_text(text)
        said = call("apply", tmp_path / "out", tmp_path / "points.csv", "-o", tmp_path / "a.csv", "--points", "voxel", "--force")  # fmt: skip
        assert ("1 of 2 points lie up to 4936 mm outside the fixed image" in said.stderr) == warned
