"""docs/command-line.md is true: its lines run in order, and it names every command and exit code."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.batch.pair_table import COLUMNS
from varreg.cli import exit_codes as exits
from varreg.cli import main
from varreg.cli.pair_report import PairReport
from varreg.data.phantom import deformed_pair

PAGE = Path(__file__).resolve().parents[1] / "docs" / "command-line.md"
TEXT = PAGE.read_text(encoding="utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]

SHELL = ("printf ", "mkdir ", "cp ")
#: Commands that need an extra.
COHORTS = ("varreg bids ", "varreg plan ")
BIDS = all(importlib.util.find_spec(name) for name in ("ancpbids", "SimpleITK"))


def run(line: str, folder: Path) -> None:
    """A line of the page: ``varreg`` in this process, others by the shell."""
    if line.startswith(SHELL):
        subprocess.run(["sh", "-c", line], cwd=folder, check=True)
        return
    program, *arguments = shlex.split(line, comments=True)
    assert program == "varreg", line
    file = None
    if ">" in arguments:
        *arguments, _, file = arguments
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 0, f"{line}\n{ended.output}"
    if file is not None:
        (folder / file).write_text(ended.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the two images and a series, in which all lines have run."""
    folder = tmp_path_factory.mktemp("page")
    pair = deformed_pair((64, 64), np.random.default_rng(0))
    for name in ("moving", "fixed"):
        image = nibabel.Nifti1Image(getattr(pair, name)[..., None], np.diag([-2, 2, 3, 1.0]))
        nibabel.save(image, folder / f"{name}.nii.gz")
    mask = nibabel.Nifti1Image((pair.labels_fixed[..., None] > 0).astype("u1"), image.affine)
    nibabel.save(mask, folder / "mask.nii.gz")
    volume = deformed_pair((32, 34, 32), np.random.default_rng(0)).fixed
    series = np.stack([volume, np.roll(volume, 1, axis=0)], axis=-1)
    nibabel.save(nibabel.Nifti1Image(series, np.diag([-3, 3, 3, 1.0])), folder / "bold.nii.gz")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for line in LINES:
            if line.startswith(COHORTS) and not BIDS:
                continue
            if not line.startswith("python "):
                run(line, folder)
    return folder


def test_what_the_lines_leave_behind_is_what_the_page_says(folder):
    result = varreg.load(folder / "registered")
    warped = nibabel.load(folder / "warped.nii.gz").get_fdata().squeeze()
    np.testing.assert_array_equal(warped, result.warped.data)
    through_ants = nibabel.load(folder / "by-ants.nii.gz").get_fdata().squeeze()
    np.testing.assert_allclose(through_ants, result.warped.data, atol=1e-4)
    assert varreg.load(folder / "rigid").transform.nodes is None
    motion = varreg.load_series(folder / "motion")
    assert motion.count == 2 and motion.reference == "mean"
    aligned = [
        nibabel.load(folder / n).get_fdata() for n in ("aligned.nii.gz", "motion/aligned.nii.gz")
    ]
    np.testing.assert_array_equal(*aligned)
    assert varreg.load(folder / "quick").options.smoothness_weight == 0.7
    assert varreg.load(folder / "refined").start is not None
    lines = (folder / "landmarks-in-moving.csv").read_text().splitlines()
    wanted = result.points([[-20, 30], [10.5, 40]])
    found = np.array([list(map(float, line.split(","))) for line in lines[1:]])
    assert lines[0] == "x,y"
    np.testing.assert_allclose(found, wanted)
    assert {"first", "second", "summary.csv"} == {e.name for e in (folder / "study").iterdir()}
    if BIDS:
        assert (folder / "derivatives" / "group.html").is_file()
    assert json.loads((folder / "certificate.json").read_text())
    assert (folder / "drawn.png").stat().st_size > 10_000
    assert "_VARREG_COMPLETE" in (folder / "varreg-completion.bash").read_text()
    assert (folder / "report.html").read_text().lower().startswith("<!doctype html>")


def test_every_command_has_a_section_a_purpose_and_a_line():
    for name in main.commands:
        assert f"\n## varreg {name}\n" in TEXT
        assert f"| [`varreg {name}`](#varreg-{name}) | " in TEXT
        assert any(line.startswith(f"varreg {name} ") or line == f"varreg {name}" for line in LINES)
    sections = re.findall(r"^## varreg (\S+)$", TEXT, re.MULTILINE)
    assert sorted(sections) == sorted(main.commands)


def test_every_exit_code_is_named():
    section = TEXT.partition("## Exit codes")[2].partition("\n## ")[0]
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)]
    known = (exits.REFUSED, exits.WARNED, exits.DEFECT, exits.INTERRUPTED, exits.TERMINATED)
    assert codes == sorted({0, 2, *known})


def test_every_column_of_tables_is_named():
    section = TEXT.partition("### Many pairs")[2].partition("\n## ")[0]
    for name in (*COLUMNS, *PairReport.__dataclass_fields__):
        assert f"`{name}`" in section, name


def test_the_excerpt_of_verbose_has_its_form(folder):
    excerpt = re.search(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[1].splitlines()
    arguments = [str(folder / name) for name in ("moving.nii.gz", "fixed.nii.gz")]
    few = ["--bins", "32", "--iterations", "1", "--affine-iterations", "1"]
    given = ["register", *arguments, "-o", str(folder / "said"), "-v", *few]
    said = CliRunner().invoke(main, given).stderr.splitlines()
    for line in excerpt:
        if not line.startswith(("--levels", "--threads")):  # of these images, of this machine
            assert line in said


def test_the_compiled_kernels_go_where_the_variable_says(tmp_path):
    variables = {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    variables["PYTHONPATH"] = str(Path(varreg.__file__).parents[1])
    command = [sys.executable, "-m", "varreg", "doctor", "--json"]
    said = subprocess.check_output(command, env={**os.environ, **variables}, text=True)
    found = json.loads(said)
    assert found["kernels"]["cache"].startswith(str(tmp_path))
    assert found["threads"] == 1


def test_the_lines_of_the_cascade_are_understood(folder, monkeypatch):
    pytest.importorskip("safetensors.torch", reason="learned needs PyTorch and safetensors")
    # not as attributes: `learned.predict` is a function, too
    command = {
        name: importlib.import_module(name).main for name in ("learned.predict", "learned.train")
    }
    monkeypatch.chdir(folder)
    lines = [line for line in LINES if line.startswith("python ")]
    assert len(lines) == 3
    for line in lines:
        _, option, module, *arguments = shlex.split(line)
        assert option == "-m"
        command[module].make_context(module, list(arguments))  # refuses what it does not know
    predict = [*shlex.split(lines[0])[3:], "--threads", "1"]
    ended = CliRunner().invoke(command["learned.predict"], predict)
    assert ended.exit_code == 0, ended.output
    for line in (
        "varreg info predicted",
        "varreg apply predicted moving.nii.gz -o by-the-network.nii.gz",
        "varreg convert predicted network.nii.gz --to itk",
        "varreg certify moving.nii.gz fixed.nii.gz predicted --iterations 1",
        "varreg register moving.nii.gz fixed.nii.gz -o further --start predicted --iterations 1",
    ):
        run(line, folder)
