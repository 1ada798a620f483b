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
    assert refused.exit_code != 0 and "--weights has 2 entries for 1 pair" in refused.output
    unknown = call("register", *pair, "--similarities", "mi,cc", "-o", tmp_path / "one")
    assert unknown.exit_code == 2 and "'cc' is not one of" in unknown.output


def test_points_in_files_are_those_of_solve(tmp_path, pair):
    for name, shift in (("fixed", 0.0), ("moving", 1.5)):
        rows = [f"{x + shift},{y},p{x}" for x, y in ((20, 30), (40, 25), (30, 44))]
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y,name", *rows]))
    files = ["--fixed-points", tmp_path / "fixed.csv", "--moving-points", tmp_path / "moving.csv"]
    done = call("register", *pair, *files, *FEW, "-o", tmp_path / "guided", "--json")
    assert done.exit_code == 0, done.output
    guides = json.loads(done.stdout)["guides"]
    assert [guide["name"] for guide in guides] == ["p20", "p40", "p30"]
    assert [guide["before"] for guide in guides] == [1.5] * 3
    alone = call("register", *pair, *files[:2], *FEW, "-o", tmp_path / "alone")
    assert alone.exit_code != 0 and "--moving-points is missing" in alone.output


def test_rigid_masks_are_those_of_solve(tmp_path, pair):
    shown = nib.load(pair[1])
    mask = np.zeros(shown.shape, np.uint8)
    mask[10:30, 12:34] = 1
    nib.save(nib.Nifti1Image(mask, shown.affine), tmp_path / "mask.nii.gz")
    given = ["--fixed-rigid-mask", tmp_path / "mask.nii.gz", "--rigidity-weight", "500"]
    deforms = ["--deformable", *FEW]
    done = call("register", *pair, *given, *deforms, "-o", tmp_path / "kept", "--json")
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)["rigidity"]
    found = varreg.load(tmp_path / "kept")
    assert report["mean"] == found.rigidity.mean > 0 and found.options.rigidity_weight == 500
    certify = ["--fixed-rigid-mask", tmp_path / "mask.nii.gz", "--iterations", "0"]
    said = call("certify", *pair, tmp_path / "kept", *certify)
    assert said.exit_code in (0, 3) and "keeps the shape of" in said.output


def test_summaries_of_commands_are_whole():
    words = " ".join(call("--help").stdout.split())
    assert "..." not in words.partition("Commands:")[2]
    assert "Register the image MOVING to the image FIXED, or many pairs with --pairs." in words


def test_register_says_what_it_wrote_and_what_the_checks_warn_of(tmp_path, pair):
    said = call("register", *pair, "-o", tmp_path / "a", *FEW).stdout.splitlines()
    assert said[0].startswith("Checks: ")
    assert said[-1].startswith(f"Written: {tmp_path / 'a'} (the result, for varreg.load")
    assert all(file.name in said[-1] for file in (tmp_path / "a").iterdir())


def test_names_are_taken_in_any_case_in_python_and_in_the_shell(tmp_path, pair):
    few = {"levels": (2,), "iterations": 3, "affine_iterations": 3, "progress": False}
    named = varreg.solve(*pair, affine="Rigid", start="Header", preset="FAST", similarity="MI", **few)  # fmt: skip
    line = "--affine RIGID --start HEADER --preset Fast --similarity Mi".split()
    assert call("register", *pair, "-o", tmp_path / "a", *FEW, *line).exit_code == 0
    typed = varreg.load(tmp_path / "a")
    np.testing.assert_array_equal(typed.displacement, named.displacement)
    assert (
        typed.options
        == named.options
        == Options.preset("fast")
        .replace(similarity="mi", **{k: v for k, v in few.items() if k != "progress"})
        .for_dimension(2)
    )
    left_out = varreg.solve(*pair, affine="None", **few)
    assert call("register", *pair, "-o", tmp_path / "b", *FEW, "--affine", "NONE").exit_code == 0
    for found in (left_out, varreg.load(tmp_path / "b")):
        np.testing.assert_array_equal(found.affine, np.eye(3))
    assert Options(similarities=("MI", "Lncc")).similarities == ("mi", "lncc")


def test_a_table_of_pairs_keeps_the_command_of_each(tmp_path, pair, files):
    (tmp_path / "pairs.csv").write_text(f"moving,fixed\n{pair[0]},{pair[1]}\n")
    done = call("register", "--pairs", tmp_path / "pairs.csv", "-o", tmp_path / "s", *FEW, "--processes", "0")  # fmt: skip
    assert done.exit_code == 0, done.output
    folder = next(entry for entry in (tmp_path / "s").iterdir() if entry.is_dir())
    command = varreg.load(folder).provenance["command"]
    assert command.startswith(f"varreg register --pairs {tmp_path / 'pairs.csv'} -o ")
