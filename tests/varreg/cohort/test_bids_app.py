"""``varreg bids``: valid BIDS derivatives, one idempotent job per session, and independent failures."""

import json
import shutil
import subprocess

import nibabel
import numpy as np
import pytest

import varreg

from .conftest import FEW, content, program

NAMES = [
    "sub-01_from-T1w_to-phantom_mode-image_xfm",
    "sub-01_from-T2w_to-T1w_mode-image_xfm",
    "sub-01_from-phantom_to-T1w_mode-image_xfm",
    "sub-01_space-T1w_desc-registered_T2w",
    "sub-01_space-phantom_desc-registered_T1w",
    "sub-01_space-phantom_desc-registered_T2w",
]


def test_one_that_fails_stops_nobody_and_is_named(registered):
    output, ended = registered
    assert ended.exit_code == 1
    assert "3 sessions: 2 finished, 1 failed" in ended.stdout
    assert "varreg: sub-03: error: sub-03 has no image of T1w" in ended.stderr
    record = json.loads((output / "sub-03" / ".varreg.json").read_text())
    assert record["state"] == "failed" and record["exit_code"] == 1


def test_files_have_the_names_of_bids_and_a_sidecar_each(registered):
    output, _ = registered
    found = sorted(file.name.split(".")[0] for file in (output / "sub-01" / "anat").iterdir())
    assert found == sorted([*NAMES, *NAMES])
    said = json.loads(
        (output / "sub-01/anat/sub-01_from-T2w_to-T1w_mode-image_xfm.json").read_text()
    )
    assert said["Options"]["levels"] == [2.0] and said["SoftwareVersion"] == varreg.__version__
    assert {check["name"] for check in said["Checks"]} and said["From"] == "T2w"
    image = json.loads((output / "sub-01/anat" / f"{NAMES[5]}.json").read_text())
    assert image["Sources"] == ["bids:raw:sub-01/anat/sub-01_T2w.nii.gz"]
    assert image["SpatialReference"] == "tpl-phantom_T1w.nii.gz"
    assert not list(output.glob("**/.varreg-*"))


def test_transforms_and_images_belong_together(registered, people):
    """The image in the template's space is the one that both files bring there, interpolated once."""
    output, (folder, template) = registered[0] / "sub-01" / "anat", people
    moving = folder / "sub-01" / "anat" / "sub-01_T2w.nii.gz"
    chain = [output / f"{NAMES[0]}.h5", output / f"{NAMES[1]}.h5"]
    warped = varreg.read_transform(chain, template, moving).warp(moving)
    written = nibabel.load(output / f"{NAMES[5]}.nii.gz")
    np.testing.assert_allclose(written.affine, nibabel.load(template).affine)
    assert np.abs(written.get_fdata() - warped).max() < 2e-3 * np.ptp(warped)
    there = varreg.read_transform(output / f"{NAMES[0]}.h5", template, moving)
    back = varreg.read_transform(output / f"{NAMES[2]}.h5", moving, template)
    points = np.array([[0.0, 5, 10], [20, -10, 0]])
    assert np.abs(back.points(there.points(points)) - points).max() < 0.1


def test_the_validator_of_bids_accepts_both_datasets(registered, people):
    validator = program("bids-validator-deno")
    for folder in (people[0], registered[0]):
        ended = subprocess.run(
            [validator, "--format", "json", str(folder)], capture_output=True, text=True
        )
        issues = json.loads(ended.stdout)["issues"]["issues"]
        wrong = [issue for issue in issues if issue["severity"] == "error"]
        assert not wrong and ended.returncode == 0


def test_finished_sessions_are_skipped_until_an_image_or_an_option_changes(
    app, registered, people, tmp_path
):
    output, (folder, template) = tmp_path / "out", people
    shutil.copytree(registered[0], output)
    given = ("--to", template, "--contrast", "T2w", "--participant_label", "01", "02", "--json")

    def states(*further):
        ended = app("bids", folder, output, "participant", *given, *further)
        assert ended.exit_code == 0, ended.stderr
        return [session["state"] for session in json.loads(ended.stdout)]

    before = content(output / "sub-01/anat" / f"{NAMES[1]}.h5")
    assert states(*FEW) == ["finished before"] * 2
    (output / "sub-02" / "anat" / "sub-02_space-T1w_desc-registered_T2w.nii.gz").unlink()
    assert states(*FEW) == ["finished before", "finished"]
    assert states(*FEW, "--bins", "32") == ["finished", "finished"]
    assert content(output / "sub-01/anat" / f"{NAMES[1]}.h5") != before
    assert states(*FEW) == ["finished", "finished"]  # back again, to the same bits
    assert content(output / "sub-01/anat" / f"{NAMES[1]}.h5") == before


def test_the_page_has_everybody_and_failures_first(app, registered, people):
    output, (folder, _) = registered[0], people
    ended = app("bids", folder, output, "group")
    assert ended.exit_code == 0 and "5 registrations: 1 failed or absent" in ended.stdout
    lines = (output / "group.tsv").read_text().splitlines()
    header, rows = lines[0].split("\t"), [line.split("\t") for line in lines[1:]]
    cells = [dict(zip(header, row, strict=True)) for row in rows]
    assert cells[0]["participant_id"] == "sub-03" and "no image of T1w" in cells[0]["error"]
    assert [cell["from"] for cell in cells].count("T2w") == 2
    assert all(float(c["similarity_after"]) > float(c["similarity_before"]) for c in cells[1:])
    page = (output / "group.html").read_text()
    assert page.count('<section class="person"') == 5 and page.count("data:image/webp") == 4
    assert page.index("sub-03") < page.index("sub-01") and "http" not in page.split("</style>")[1]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("participant",), "no registration was requested"),
        (("participant", "--contrast", "T1w"), "to which the others are registered"),
        (("participant", "--to", "absent.nii.gz"), "'absent.nii.gz' does not exist"),
        (("participant", "--contrast", "T2w", "--participant-label", "9"), "is in no image"),
        (("group",), "run the level participant first"),
        (
            ("participant", "--contrast", "T2w", "--processes", "2", "--scheduler", "slurm"),
            "give one of them",
        ),
    ],
)
def test_bad_input_is_a_sentence(app, people, tmp_path, given, words):
    ended = app("bids", people[0], tmp_path / "out", *given)
    assert ended.exit_code == 1 and words in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "out").exists()


def test_folders_of_others_are_left_alone(app, people, tmp_path):
    given = ("participant", "--contrast", "T2w", "--participant-label", "01")
    assert "contains the images" in app("bids", people[0], people[0].parent, *given).stderr
    other = tmp_path / "fmriprep"
    other.mkdir()
    made = {"Name": "x", "BIDSVersion": "1.10.0", "GeneratedBy": [{"Name": "fMRIPrep"}]}
    (other / "dataset_description.json").write_text(json.dumps(made))
    assert "is a dataset that varreg did not make" in app("bids", people[0], other, *given).stderr
    foreign = tmp_path / "out" / "sub-01"
    foreign.mkdir(parents=True)
    (foreign / "notes.txt").write_text("kept")
    ended = app("bids", people[0], tmp_path / "out", *given)
    assert ended.exit_code == 1 and "is not replaced" in ended.stderr
    assert (foreign / "notes.txt").read_text() == "kept"
