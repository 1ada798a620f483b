"""BIDS names of transforms: the direction of fMRIPrep, and the JSON file beside them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.data.phantom.pairs import deformed_pair
from varreg.errors import InputError

from .cases import case, flipped, peer, save_nifti

NAME = "sub-1_from-T2w_to-T1w_mode-image_xfm"


def registered(folder):
    pair = deformed_pair((32, 40), np.random.default_rng(0))
    grid = varreg.Grid.with_spacing((32, 40))
    paths = [
        save_nifti(folder / f"sub-1_{name}.nii.gz", grid, array)
        for name, array in (("T2w", pair.moving), ("T1w", pair.fixed))
    ]
    return varreg.solve(*paths, levels=(2,), iterations=2, affine_iterations=2)


def test_images_of_from_come_to_to(tmp_path):
    """As for fMRIPrep's files: ITK maps points of `to`, the fixed image, to points of `from`."""
    sitk = peer("SimpleITK")
    one = case(3)
    (file,) = varreg.write_transform(one.transform, tmp_path / f"{NAME}.h5")
    theirs = sitk.ReadTransform(str(file))
    points = np.array([theirs.TransformPoint(point.tolist()) for point in flipped(one.landmarks)])
    one.check_points(flipped(points))
    said = json.loads((tmp_path / f"{NAME}.json").read_text())
    assert said["Description"].startswith("Maps points of T1w to T2w")
    assert said["FromGrid"]["Shape"] == list(one.transform.moving.shape)
    assert said["ToGrid"]["Affine"] == one.transform.fixed.affine.tolist()


def test_the_json_file_says_what_was_done(tmp_path):
    result = registered(tmp_path)
    varreg.write_transform(result, tmp_path / f"{NAME}.nii.gz")
    said = json.loads((tmp_path / f"{NAME}.json").read_text())
    assert (said["From"], said["To"], said["Mode"]) == ("T2w", "T1w", "image")
    assert (said["FromFile"], said["ToFile"]) == ("sub-1_T2w.nii.gz", "sub-1_T1w.nii.gz")
    assert said["SoftwareVersion"] == varreg.__version__
    assert said["Options"]["levels"] == [2.0]
    assert [check["name"] for check in said["Checks"]] == [check.name for check in result.checks]
    assert said["SmallestDeterminant"] == result.smallest_determinant
    back = "sub-1_from-T1w_to-T2w_mode-image_xfm"
    varreg.write_transform(result, tmp_path / f"{back}.nii.gz", inverse=True)
    said = json.loads((tmp_path / f"{back}.json").read_text())
    assert (said["FromFile"], said["ToFile"]) == ("sub-1_T1w.nii.gz", "sub-1_T2w.nii.gz")
    assert said["SmallestDeterminant"] is None


def test_a_name_that_contradicts_the_images_is_refused(tmp_path):
    result = registered(tmp_path)
    wrong = "from-T1w_to-T2w_mode-image_xfm.nii.gz"
    with pytest.raises(InputError, match="Name it from-T2w_to-T1w_mode-image"):
        varreg.write_transform(result, tmp_path / wrong)
    varreg.write_transform(result, tmp_path / wrong.replace("image", "points"))
    with pytest.raises(InputError, match="opposite direction"):
        varreg.write_transform(result, tmp_path / f"{NAME}.nii.gz", inverse=True)
    assert not (tmp_path / wrong).exists()


def test_the_command_line_hands_on_what_a_saved_result_knows(tmp_path):
    result = registered(tmp_path)
    result.save(tmp_path / "registered")
    out = tmp_path / f"{NAME}.nii.gz"
    told = CliRunner().invoke(main, ["convert", str(tmp_path / "registered"), str(out)])
    assert told.exit_code == 0 and told.stdout.split() == [str(out)], told.output
    said = json.loads((tmp_path / f"{NAME}.json").read_text())
    assert said["Options"]["levels"] == [2.0] and said["ToFile"] == "sub-1_T1w.nii.gz"


@pytest.mark.parametrize(
    "name", ["from-a_xfm.nii.gz", "from-a_to-b_xfm.nii.gz", "from-a_to-b_mode-mesh_xfm.npz"]
)
def test_half_a_name_of_bids_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="mode-image"):
        varreg.write_transform(case(3).transform, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_other_names_have_no_json_file(tmp_path):
    one = case(3)
    for name in ("map_xfm.nii.gz", "from-a_to-b.nii.gz"):
        varreg.write_transform(one.transform, tmp_path / name)
    varreg.write_transform(one.transform, tmp_path / "from-a_to-b_mode-image_xfm_", to="ants")
    assert not list(tmp_path.glob("*.json"))
