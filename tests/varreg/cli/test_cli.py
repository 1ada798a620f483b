"""The command line writes what the functions return."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np

import varreg
from varreg.options.options import Options

from .calls import FEW, call


def test_register_writes_the_result_that_solve_returns(files, pair):
    again = varreg.solve(*pair, levels=(2,), iterations=3, affine_iterations=3)
    loaded = varreg.load(files / "result")
    np.testing.assert_array_equal(loaded.displacement, again.displacement)


def test_register_prints_a_paragraph_or_json(tmp_path, pair):
    paragraph = call("register", *pair, "-o", tmp_path / "a", *FEW)
    assert "Maps points of FIXED to MOVING" in paragraph.stdout
    model = ("--affine", "affine", "--deformable")
    printed = call("register", *pair, "-o", tmp_path / "b", *FEW, *model, "--json")
    numbers = json.loads(printed.stdout)
    assert numbers["options"]["levels"] == [2.0] and numbers["smallest_determinant"] > 0
    assert {level["stage"] for level in numbers["levels"]} == {"affine", "deformable"}
    silent = call("register", *pair, "-o", tmp_path / "c", *FEW, "--quiet")
    assert silent.output == "" and silent.exit_code == 0
    told = call("register", *pair, "-o", tmp_path / "d", *FEW, "--verbose")
    assert "deformable 1/2 size, step 1: energy -" in told.stderr


def test_an_image_as_output_gets_the_warped_image_only(tmp_path, pair, files):
    outcome = call("register", *pair, "-o", tmp_path / "warped.nii.gz", *FEW)
    assert outcome.exit_code == 0
    written = nib.load(tmp_path / "warped.nii.gz").get_fdata().squeeze()
    np.testing.assert_array_equal(written, varreg.load(files / "result").warped.data)
    assert [entry.name for entry in tmp_path.iterdir()] == ["warped.nii.gz"]


def test_a_fine_map_is_asked_for_by_its_name_or_by_its_numbers(tmp_path, pair):
    asked = ["--regularity", "fine", "--deformable", "--json"]
    printed = json.loads(call("register", *pair, "-o", tmp_path / "a", *FEW, *asked).stdout)
    fine = varreg.load(tmp_path / "a")
    assert fine.options == Options(
        regularity="fine", levels=(2,), iterations=3, affine_iterations=3
    ).decided(2)
    assert printed["energy"]["volume"] == fine.energy.volume > 0
    assert printed["regularity"] is None  # nobody left it open
    call("register", *pair, "-o", tmp_path / "b", *FEW, "--volume-weight", "0.45", "--deformable")
    other = varreg.load(tmp_path / "b")
    assert (other.options.regularity, other.options.volume_weight) == ("smooth", 0.45)
    assert other.energy.volume > 0


def test_the_figure_is_written_beside_the_result(tmp_path, pair):
    outcome = call("register", *pair, "-o", tmp_path / "r", "--png", tmp_path / "look.png", *FEW)
    assert outcome.exit_code == 0
    assert (tmp_path / "look.png").stat().st_size > 50_000
    assert (tmp_path / "r" / "result.json").is_file()


def test_a_matrix_file_and_a_left_out_stage(tmp_path, pair):
    np.savetxt(tmp_path / "matrix.txt", [[1, 0, 2], [0, 1, -1], [0, 0, 1]])
    given = ("--affine", tmp_path / "matrix.txt", "--no-deformable", "--json")
    outcome = call("register", *pair, "-o", tmp_path / "r", *given)
    assert json.loads(outcome.stdout)["affine"] == [[1, 0, 2], [0, 1, -1], [0, 0, 1]]
    outcome = call("register", *pair, "-o", tmp_path / "s", "--affine", "none", *FEW, "--json")
    assert json.loads(outcome.stdout)["affine"] == np.eye(3).tolist()


def test_apply_brings_images_and_labels_over_and_back(tmp_path, files):
    result = varreg.load(files / "result")
    call("apply", files / "result", files / "moving.nii.gz", "-o", tmp_path / "a.nii.gz")
    image = nib.load(tmp_path / "a.nii.gz").get_fdata().squeeze()
    np.testing.assert_allclose(image, result.warped.data, atol=1e-6)
    call(
        "apply", files / "result", files / "labels.nii.gz", "-o", tmp_path / "b.nii.gz", "--labels"
    )
    labels = np.asarray(nib.load(tmp_path / "b.nii.gz").dataobj).squeeze()
    assert labels.dtype.kind in "iu"
    np.testing.assert_array_equal(labels, result.warp_labels(files / "labels.nii.gz"))
    back = ("--inverse", "--interpolation", "cubic", "-o", tmp_path / "c.nii.gz")
    assert call("apply", files / "result", files / "fixed.nii.gz", *back).exit_code == 0
    moved = nib.load(tmp_path / "c.nii.gz").get_fdata().squeeze()
    wanted = result.inverse().warp(files / "fixed.nii.gz", "cubic")
    np.testing.assert_allclose(moved, wanted, atol=1e-6)


def test_info_says_the_same_as_register(files):
    assert call("info", files / "result").stdout.strip() == str(varreg.load(files / "result"))
    assert json.loads(call("info", files / "result", "--json").stdout)["stop"]


def test_several_pairs_of_images_are_what_solve_takes_as_lists(tmp_path, pair, files):
    arguments = [*pair, "--also", *pair, "--weights", "3,1", "--similarities", "mi,lncc", *FEW]
    done = call("register", *arguments, "-o", tmp_path / "both", "--json")
    assert done.exit_code == 0, done.output
    channels = json.loads(done.stdout)["channels"]
    assert [channel["weight"] for channel in channels] == [0.75, 0.25]
    assert [channel["similarity"] for channel in channels] == ["mi", "lncc"]
    refused = call("register", *pair, "--weights", "3,1", "-o", tmp_path / "one")
    assert refused.exit_code != 0 and "`weights` has 2 entries for 1 pair" in refused.output
    unknown = call("register", *pair, "--similarities", "mi,cc", "-o", tmp_path / "one")
    assert unknown.exit_code == 2 and "'cc' is not one of" in unknown.output
