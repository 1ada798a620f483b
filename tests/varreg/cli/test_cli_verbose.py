"""``varreg register --verbose`` first says every option in force, with its value and where it is from."""

from __future__ import annotations

import dataclasses
import re

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.cli.commands import main
from varreg.data.phantom.pairs import deformed_pair
from varreg.options.options import Options

FEW = ["--levels", "2", "--iterations", "1", "--affine-iterations", "1"]


def call(*arguments):
    ended = CliRunner().invoke(main, ["register", *map(str, arguments)])
    assert ended.exit_code == 0, ended.output
    return ended


def rows(stderr):
    """Option -> (value, origin), of the table in what was said."""
    lines = stderr.splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("option "))
    columns = [lines[first].index(word) for word in ("option", "value", "from")]
    found = {}
    for line in lines[first + 1 :]:
        if not line.startswith("--"):
            break
        cells = line[: columns[1]], line[columns[1] : columns[2]], line[columns[2] :]
        name, value, origin = (cell.strip() for cell in cells)
        found[name] = (value, origin)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verbose")
    pair = deformed_pair((64, 48), np.random.default_rng(0))
    for name in ("moving", "fixed"):
        image = nib.Nifti1Image(100 * getattr(pair, name)[..., None], np.diag([2, 2, 2, 1.0]))
        nib.save(image, folder / f"{name}.nii.gz")
    (folder / "pairs.csv").write_text("moving,fixed\nmoving.nii.gz,fixed.nii.gz\n")
    return folder


@pytest.fixture
def pair(files):
    return files / "moving.nii.gz", files / "fixed.nii.gz"


def test_every_option_is_there_before_the_first_step(tmp_path, pair):
    said = call(*pair, "-o", tmp_path / "r", *FEW, "--verbose").stderr
    table = rows(said)
    fields = {"--" + field.name.replace("_", "-") for field in dataclasses.fields(Options)}
    others = {
        "--affine",
        "--deformable",
        "--fixed-mask",
        "--moving-mask",
        "--start",
        "--fill",
        "--preset",
    }
    assert set(table) == fields | others | {"--threads", "--backend", "--device"}
    assert varreg.__version__ in said.splitlines()[0]
    assert said.index("--backend") < said.index("step 1: energy")


def test_given_and_default_are_told_apart(tmp_path, pair):
    given = [
        "--largest-step",
        "0.123456",
        "--bins",
        "32",
        "--threads",
        "1",
        "--no-deformable",
        "--affine",
        "rigid",
    ]
    table = rows(call(*pair, "-o", tmp_path / "r", *FEW, *given, "-v").stderr)
    assert table["--bins"] == ("32", "given")
    assert table["--iterations"] == ("1", "given")
    assert table["--largest-step"] == ("0.123456", "given")
    assert table["--threads"] == ("1", "given")
    assert table["--deformable"] == ("no", "given")
    assert table["--affine"] == ("rigid", "given")
    assert table["--backend"] == ("auto", "default")
    assert table["--memory"] == ("6", "default")
    assert table["--fixed-mask"] == ("none", "default")


def test_a_preset_is_named_where_it_decides(tmp_path, pair):
    given = ["--preset", "accurate", "--bins", "20"]
    table = rows(call(*pair, "-o", tmp_path / "r", *FEW, *given, "-v").stderr)
    assert table["--preset"] == ("accurate", "given")
    assert table["--interpolation"] == ("cubic", "preset")
    assert table["--bins"] == ("20", "given")


def test_what_the_images_decide_is_what_the_solver_takes(tmp_path, pair):
    few = ["--iterations", "1", "--affine-iterations", "1", "--deformable"]
    table = rows(call(*pair, "-o", tmp_path / "r", *few, "-v").stderr)
    result = varreg.load(tmp_path / "r")
    factors = [level.factor for level in result.levels if level.stage == "deformable"]
    assert table["--levels"] == (",".join(f"{f:g}" for f in factors), "default (images)")
    assert table["--smoothness-weight"] == (f"{result.options.smoothness_weight:g}", "default (2D)")
    length = 0.05 * np.sqrt(64 * 48) * 2  # mm
    assert float(table["--smoothness-length"][0]) == pytest.approx(length, rel=1e-3)
    low, high = map(float, table["--fixed-range"][0].split(","))
    image = nib.load(pair[1]).get_fdata()
    assert low == 0 and 0.9 * image.max() < high <= image.max()


def test_many_pairs_have_one_table(tmp_path, files):
    given = ["--pairs", files / "pairs.csv", "-o", tmp_path / "study", *FEW, "-v"]
    said = call(*given, "--processes", "0").stderr
    table = rows(said)
    assert len(re.findall("^option ", said, re.MULTILINE)) == 1
    assert table["--processes"] == ("0", "given")
    assert table["--regions"] == ("8 in 2D, 10 in 3D", "default (dimension)")
    assert table["--fixed-range"] == ("of each pair", "default (images)")


def test_a_matrix_is_written_out(tmp_path, pair):
    np.savetxt(tmp_path / "matrix.txt", [[1, 0, 2.5], [0, 1, -1], [0, 0, 1]])
    given = ["--affine", tmp_path / "matrix.txt", "--no-deformable", "-v"]
    table = rows(call(*pair, "-o", tmp_path / "r", *given).stderr)
    assert table["--affine"] == ("1 0 2.5; 0 1 -1; 0 0 1", "given")


def test_without_verbose_nothing_of_it_is_said(tmp_path, pair):
    assert "--bins" not in call(*pair, "-o", tmp_path / "r", *FEW).stderr


def test_saying_it_changes_no_bit(tmp_path, pair):
    call(*pair, "-o", tmp_path / "a", *FEW)
    call(*pair, "-o", tmp_path / "b", *FEW, "-v")
    first, second = varreg.load(tmp_path / "a"), varreg.load(tmp_path / "b")
    assert np.array_equal(first.displacement, second.displacement)
    assert (first.fixed_name, first.moving_name) == (second.fixed_name, second.moving_name)


def test_every_step_of_a_trial_names_its_start(tmp_path, pair):
    asked = ["--affine", "rigid", "--no-deformable", "--affine-iterations", "3", "-v"]
    said = call(*pair, "-o", tmp_path / "r", *asked).stderr
    starts = re.findall(r"^affine .* from the start '(.+?)', step 0", said, re.MULTILINE)
    assert len(starts) == len(set(starts)) > 1
    assert any(start.split(",")[0] in ("header", "centres", "moments") for start in starts)
    rest = [
        line for line in said.splitlines() if line.startswith("affine ") and "start" not in line
    ]
    assert rest  # what goes on from the best of them
    chosen = call(*pair, "-o", tmp_path / "s", *asked, "--start", "header").stderr
    named = re.findall(r"from the start '(\w+)", chosen)
    assert named and set(named) == {"header"}
