"""`varreg convert` and what `varreg apply` does with transforms of other tools."""

from __future__ import annotations

import csv

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main

from .cases import case, save_nifti


def call(*arguments, code=0):
    outcome = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert outcome.exit_code == code, outcome.output + outcome.stderr
    return outcome


def voxels(path):
    return np.asarray(nibabel.load(path).dataobj).squeeze()


@pytest.fixture
def files(tmp_path):
    """The volumes of a case, and its transform for ANTs."""
    one = case(3)
    save_nifti(tmp_path / "f.nii.gz", one.transform.fixed, np.zeros(one.transform.fixed.shape))
    save_nifti(tmp_path / "m.nii.gz", one.transform.moving, one.image)
    varreg.write_transform(one.transform, tmp_path / "t_", to="ants")
    return one, tmp_path


def images(folder):
    return "--fixed", folder / "f.nii.gz", "--moving", folder / "m.nii.gz"


def transforms(folder):
    return "-t", folder / "t_1Warp.nii.gz", "-t", folder / "t_0GenericAffine.mat"


def test_convert_prints_the_files_it_wrote(files):
    one, folder = files
    told = call(
        "convert", folder / "t_1Warp.nii.gz", folder / "g_", "--to", "greedy", *images(folder)
    )
    assert told.stdout.split() == [str(folder / "g_warp.nii.gz"), str(folder / "g_affine.mat")]
    call(
        "convert", folder / "g_affine.mat", folder / "a.mat", "--to", "fsl", *images(folder), code=1
    )
    call(
        "convert", folder / "t_0GenericAffine.mat", folder / "a.mat", "--to", "fsl", *images(folder),
        "--inverse",
    )  # fmt: skip
    pair = one.transform.moving, one.transform.fixed
    read = varreg.read_transform(folder / "a.mat", *pair, format="fsl")
    np.testing.assert_allclose(read.affine, np.linalg.inv(one.transform.affine), atol=1e-6)
    again = call(
        "convert", folder / "t_0GenericAffine.mat", folder / "a.mat", "--to", "ants", *images(folder),
        code=1,
    )  # fmt: skip
    assert "exists" in again.stderr
    call(
        "convert", f"[{folder}/t_0GenericAffine.mat,1]", folder / "a.mat", "--to", "ants",
        *images(folder), "--force",
    )  # fmt: skip
    read = varreg.read_transform(folder / "a.mat", *pair)
    np.testing.assert_allclose(read.affine, np.linalg.inv(one.transform.affine), atol=1e-6)


def test_convert_needs_the_images_of_a_foreign_transform(files):
    _, folder = files
    told = call("convert", folder / "t_1Warp.nii.gz", folder / "a.npz", "--to", "numpy", code=1)
    assert "--fixed is missing" in told.stderr and "Traceback" not in told.output


def test_apply_a_chain_to_an_image(files):
    one, folder = files
    out = folder / "o.nii.gz"
    call("apply", *transforms(folder), folder / "m.nii.gz", *images(folder), "-o", out)
    np.testing.assert_allclose(voxels(out), one.transform.warp(one.image), atol=1e-5)
    # IMAGE is the moving image unless another is named
    call(
        "apply", *transforms(folder), folder / "m.nii.gz", "--fixed", folder / "f.nii.gz", "-o", out,
        "--force",
    )  # fmt: skip
    np.testing.assert_allclose(voxels(out), one.transform.warp(one.image), atol=1e-5)


def test_apply_to_labels_with_either_rule(files):
    one, folder = files
    labels = np.digitize(one.image, [-0.5, 0.5]).astype(np.int16)
    nibabel.Nifti1Image(labels, one.transform.moving.affine).to_filename(folder / "l.nii.gz")
    for rule in ("linear", "nearest"):
        out = folder / f"{rule}.nii.gz"
        call(
            "apply", *transforms(folder), folder / "l.nii.gz", *images(folder), "-o", out, "--labels",
            "--interpolation", rule,
        )  # fmt: skip
        assert voxels(out).dtype == np.int16
        assert (voxels(out) == one.transform.warp_labels(labels, rule)).mean() > 0.999


def test_apply_onto_another_grid_and_back(files):
    one, folder = files
    finer = one.transform.fixed.resized((40, 30, 20))
    save_nifti(folder / "r.nii.gz", finer, np.zeros(finer.shape))
    out = folder / "o.nii.gz"
    call(
        "apply", *transforms(folder), folder / "m.nii.gz", *images(folder), "-o", out, "--reference",
        folder / "r.nii.gz",
    )  # fmt: skip
    written = nibabel.load(out)
    np.testing.assert_allclose(written.affine, finer.affine, atol=1e-5)
    points = finer.voxel_to_world(finer.coordinates().reshape(3, -1)).T
    at = one.transform.moving.world_to_voxel(one.transform.points(points).T)
    from scipy.ndimage import map_coordinates

    inside = np.all((at > 0) & (at < np.array(one.image.shape)[:, None] - 1), axis=0)
    expected = map_coordinates(one.image, at, order=1)
    np.testing.assert_allclose(voxels(out).ravel()[inside], expected[inside], atol=1e-3)
    call(
        "apply", *transforms(folder), folder / "f.nii.gz", *images(folder), "-o", folder / "b.nii.gz",
        "--inverse",
    )  # fmt: skip
    assert voxels(folder / "b.nii.gz").shape == one.image.shape
    save_nifti(
        folder / "s.nii.gz", one.transform.moving.resized((20, 20, 20)), np.zeros((20, 20, 20))
    )
    call(
        "apply", *transforms(folder), folder / "f.nii.gz", *images(folder), "-o", folder / "c.nii.gz",
        "--inverse", "--reference", folder / "s.nii.gz",
    )  # fmt: skip
    assert voxels(folder / "c.nii.gz").shape == (20, 20, 20)


@pytest.mark.parametrize("space", ["world", "voxel"])
def test_apply_to_points_keeps_other_columns(files, space):
    one, folder = files
    points = one.landmarks
    if space == "voxel":
        points = one.transform.fixed.world_to_voxel(points.T).T
    with open(folder / "p.csv", "w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["name", "z", "y", "x", "note"])
        writer.writerows([f"p{i}", z, y, x, "a, b"] for i, (x, y, z) in enumerate(points))
    for extra, source, target in (([], "p.csv", "q.csv"), (["--inverse"], "q.csv", "r.csv")):
        call(
            "apply", *transforms(folder), folder / source, *images(folder), "-o", folder / target,
            "--points", space, *extra,
        )  # fmt: skip
    with open(folder / "q.csv", newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["name", "z", "y", "x", "note"] and rows[3][0] == "p3" and rows[3][4] == "a, b"
    moved = np.array([[row[3], row[2], row[1]] for row in rows], dtype=float)
    np.testing.assert_allclose(moved, one.transform.points(points, space), atol=1e-4)
    with open(folder / "r.csv", newline="") as stream:
        back = np.array([[row[3], row[2], row[1]] for row in csv.reader(stream)][1:], dtype=float)
    np.testing.assert_allclose(back, points, atol=1e-3)


@pytest.mark.parametrize(
    ("text", "message"),
    [("x,y,z\n1,2\n", "row 2"), ("1,2,x\n", "row 1|finite"), ("1;2;3\n", "finite")],
)
def test_tables_that_are_none_are_refused(files, text, message):
    _, folder = files
    (folder / "p.csv").write_text("a,b,c\n1,2,3\n" + text if "row 1" in message else text + text)
    told = call(
        "apply", *transforms(folder), folder / "p.csv", *images(folder), "-o", folder / "q.csv",
        "--points", "world", code=1,
    )  # fmt: skip
    assert "finite coordinates" in told.stderr and not (folder / "q.csv").exists()


def test_wrong_command_lines(files):
    _, folder = files
    out = ("-o", folder / "o.nii.gz")
    call("apply", folder / "m.nii.gz", *out, code=2)
    call("apply", *transforms(folder), "result", folder / "m.nii.gz", *out, code=2)
    call("apply", *transforms(folder), "p.csv", *out, "--points", "world", "--labels", code=2)
    call("apply", *transforms(folder), folder / "m.nii.gz", *out, code=1)  # no --fixed
    assert not (folder / "o.nii.gz").exists()
