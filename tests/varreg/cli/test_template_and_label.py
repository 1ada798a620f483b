"""``varreg template`` and ``varreg label`` on files."""

import json

import nibabel
import numpy as np
import pytest
from scipy.ndimage import shift

from varreg.cli.commands import main
from varreg.data.phantom import brain_phantom
from varreg.options.names import ROUNDS

from .calls import FEW, call, save

RIGID = ("--rounds", "translation", "--threads", "1", *FEW)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three people, the same head elsewhere, with labels, as atlases and in a table."""
    folder = tmp_path_factory.mktemp("people")
    head = brain_phantom((48, 48), np.random.default_rng(0))
    rows = ["name\timage\tlabels"]
    for k in range(3):
        save(folder / f"p{k}_image.nii.gz", shift(head.t1, (k, 0), order=1)[..., None])
        labels = shift(head.labels.astype(np.uint8), (k, 0), order=0)
        save(folder / f"p{k}_labels.nii.gz", labels[..., None])
        rows.append(f"P{k}\tp{k}_image.nii.gz\tp{k}_labels.nii.gz")
    (folder / "people.tsv").write_text("\n".join(rows))
    return folder


def test_a_template_of_files(folder, tmp_path):
    out = tmp_path / "template"
    done = call("template", *sorted(folder.glob("*_image.nii.gz")), "-o", out, *RIGID)
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Checks: 1 warning: The template is the mean of 3 people.")
    assert not (tmp_path / "template.rounds").exists()
    assert nibabel.load(out / "template.nii.gz").shape[:2] == (48, 48)
    assert len(list((out / "maps").iterdir())) == 3
    again = call("template", *folder.glob("*_image.nii.gz"), "-o", out, *RIGID)
    assert again.exit_code == 1 and "exists" in again.output


def test_a_template_of_a_table(folder, tmp_path):
    given = "--people", folder / "people.tsv", "-o", tmp_path / "t", "--json", "--keep-rounds"
    done = call("template", *given, *RIGID)
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content["people"] == ["P0", "P1", "P2"] and content["rounds"][0]["dice"] > 0.9
    assert (tmp_path / "t.rounds" / "round-01").is_dir()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("image\nabsent.nii.gz\n", "which is not a file"), ("images\n", "must have the column image")],
)
def test_tables_of_people_that_are_not_whole(tmp_path, text, sentence):
    (tmp_path / "people.csv").write_text(text)
    done = call("template", "--people", tmp_path / "people.csv", "-o", tmp_path / "t")
    assert done.exit_code == 1 and sentence in " ".join(done.output.split())


def test_people_are_given_once(folder, tmp_path):
    assert call("template", "-o", tmp_path / "t").exit_code == 2


def test_labels_of_a_file(folder, tmp_path):
    out, given = tmp_path / "labelled", ("--threads", "1", *FEW)
    done = call("label", folder / "p0_image.nii.gz", "--atlases", folder, "-o", out, *given)
    assert done.exit_code == 0, done.output
    assert "by 3 atlases (local)" in done.output
    found = np.asarray(nibabel.load(out / "labels.nii.gz").dataobj)
    wanted = np.asarray(nibabel.load(folder / "p0_labels.nii.gz").dataobj)
    assert np.mean(found == wanted) > 0.97
    alone = tmp_path / "labels.nii.gz"
    done = call("label", folder / "p0_image.nii.gz", "--atlases", folder, "-o", alone, "-q", *given)
    assert done.exit_code == 0 and done.output == ""
    np.testing.assert_array_equal(np.asarray(nibabel.load(alone).dataobj), found)


def test_a_folder_without_atlases_is_refused(folder, tmp_path):
    done = call("label", folder / "p0_image.nii.gz", "--atlases", tmp_path, "-o", tmp_path / "l")
    assert done.exit_code == 1 and "holds no atlases" in " ".join(done.output.split())


def test_the_rounds_are_those_of_python_unless_said_otherwise():
    (rounds,) = (p for p in main.commands["template"].params if p.name == "rounds")
    assert rounds.default == ",".join(ROUNDS)
