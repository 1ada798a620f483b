"""A BIDS dataset is read by its names, and what it lacks is said."""

import json
from pathlib import Path

import pytest

from varreg.cohort.dataset import read_sessions
from varreg.cohort.template import template_of
from varreg.errors import FileError, InputError

pytest.importorskip("ancpbids", reason="'varreg[bids]' is not installed")


@pytest.fixture
def dataset(tmp_path):
    """Two people with sessions and one without, as far as names go."""
    files = [
        "sub-01/ses-a/anat/sub-01_ses-a_T1w.nii.gz",
        "sub-01/ses-a/anat/sub-01_ses-a_acq-fast_run-2_T2w.nii.gz",
        "sub-01/ses-b/anat/sub-01_ses-b_T1w.nii",
        "sub-02/ses-a/anat/sub-02_ses-a_T1w.nii.gz",
        "sub-02/ses-a/func/sub-02_ses-a_task-rest_bold.nii.gz",
        "sub-03/anat/sub-03_T1w.nii.gz",
        "derivatives/other/sub-01/anat/sub-01_T1w.nii.gz",
    ]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(b"")
        (tmp_path / file.split(".nii")[0]).with_suffix(".json").write_text("{}")
    description = {"Name": "names", "BIDSVersion": "1.10.0"}
    (tmp_path / "dataset_description.json").write_text(json.dumps(description))
    return tmp_path


def test_a_session_has_the_images_of_a_participant(dataset):
    sessions = read_sessions(dataset, ("T1w", "T2w"))
    assert [session.name for session in sessions] == [
        "sub-01_ses-a",
        "sub-01_ses-b",
        "sub-02_ses-a",
        "sub-03",
    ]
    assert [session.folder for session in sessions][0] == Path("sub-01", "ses-a")
    (scan,) = sessions[0].of("T2w")
    assert (scan.entities, scan.kind) == ("acq-fast_run-2", "anat")
    assert scan.named(sessions[0]) == "sub-01_ses-a_acq-fast_run-2"
    assert scan.path == dataset / "sub-01/ses-a/anat/sub-01_ses-a_acq-fast_run-2_T2w.nii.gz"
    assert [scan.path.suffix for scan in sessions[1].scans] == [".nii"]


def test_labels_choose_with_and_without_their_key(dataset):
    chosen = read_sessions(dataset, ["T1w"], ["sub-01", "03"])
    assert [session.name for session in chosen] == ["sub-01_ses-a", "sub-01_ses-b", "sub-03"]
    chosen = read_sessions(dataset, ["T1w"], ["01"], ["ses-b"])
    assert [session.name for session in chosen] == ["sub-01_ses-b"]


def test_what_is_not_there_is_said(dataset, tmp_path):
    with pytest.raises(InputError, match="--participant-label 7 is in no image .* 01, 02, 03"):
        read_sessions(dataset, ["T1w"], ["7"])
    with pytest.raises(InputError, match="--session-label c is in no image"):
        read_sessions(dataset, ["T1w"], [], ["c"])
    with pytest.raises(InputError, match="no image of FLAIR .* for 3 participants"):
        read_sessions(dataset, ["FLAIR"])
    with pytest.raises(FileError, match="is not a folder"):
        read_sessions(tmp_path / "no", ["T1w"])
    with pytest.raises(FileError, match="has no dataset_description.json"):
        read_sessions(dataset / "sub-01", ["T1w"])


def test_a_template_is_a_file_or_a_name_that_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    file = tmp_path / "tpl-MNI152NLin2009cAsym" / "tpl-MNI152NLin2009cAsym_res-01_T1w.nii.gz"
    with pytest.raises(FileError, match="fetch it once, where there is a network"):
        template_of("MNI152NLin2009cAsym")
    file.parent.mkdir()
    file.write_bytes(b"")  # known and not fetched
    with pytest.raises(FileError, match="fetch it once"):
        template_of("MNI152NLin2009cAsym")
    file.write_bytes(b"image")
    assert template_of("MNI152NLin2009cAsym").path == file
    assert template_of(file).label == "MNI152NLin2009cAsym"
    (tmp_path / "my_mean-2.nii.gz").write_bytes(b"image")
    assert template_of(tmp_path / "my_mean-2.nii.gz").label == "mymean2"
    with pytest.raises(FileError, match="does not exist"):
        template_of("absent.nii.gz")
    with pytest.raises(InputError, match="neither a file nor a name"):
        template_of("MNI 152")
