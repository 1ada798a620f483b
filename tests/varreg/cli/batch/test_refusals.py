"""A table of pairs: what is refused, interruptions, warnings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import varreg
from varreg.batch.pair_table import read_pairs
from varreg.data.phantom.pairs import deformed_pair

from .tables import FEW, call, names, one_line, summary

ROOT = Path(varreg.__file__).resolve().parents[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("moving,fixed\n,\n", "has a header but no pair"),
        ("moving,image\nt2/0.nii.gz,t1-0.nii\n", "unknown columns: 'image'. It needs 'moving', 'fi"),
        ("fixed,name\nt1-0.nii,a\n", "missing columns: 'moving'"),
        ("moving,fixed,moving\na,b,c\n", "repeated columns: 'moving'"),
        ("t2/0.nii.gz,t1-0.nii\n", "unknown columns: 't2/0.nii.gz', 't1-0.nii'"),
        ("moving,fixed\nt2/0.nii.gz\n", "line 2 of"),
        ("moving,fixed\nt2/0.nii.gz,t1-0.nii,x\n", "has 3 values and the header 2 columns"),
        ("moving,fixed\nt2/0.nii.gz,t1-0.nii\nt2/9.nii.gz,t1-8.nii\n", "moving 't2/9.nii.gz' (line 3)"),
        ("moving,fixed,fixed_mask\nt2/0.nii.gz,t1-0.nii,no.nii\n", "fixed_mask 'no.nii' (line 2)"),
        ("moving,fixed\nt2,t1-0.nii\n", "moving 't2' (line 2)"),
        ("moving,fixed,name\nt2/0.nii.gz,t1-0.nii,a\nt2/1.nii.gz,t1-1.nii,A\n", "lines 2 and 3"),
        ("moving,fixed,name\nt2/0.nii.gz,t1-0.nii,2-1\nt2/1.nii.gz,t1-1.nii,\n", "'2-1'"),
        ("moving,fixed,name\nt2/0.nii.gz,t1-0.nii,../a\n", "'../a'"),
        ("moving,fixed,name\nt2/0.nii.gz,t1-0.nii,Summary.CSV\n", "'Summary.CSV'"),
        (f"moving,fixed,name\nt2/0.nii.gz,t1-0.nii,{'x' * 300}\n", "short"),
        ('moving,fixed\n"t2/0.nii.gz,t1-0.nii\n', "cannot be read"),
    ],
)  # fmt: skip
def test_a_bad_table_ends_in_one_line(tmp_path, table, no_work, text, words):
    line = one_line(call("--pairs", table(text), "-o", tmp_path / "out"))
    assert words in line
    assert not names(tmp_path)


def test_a_table_that_cannot_be_read(tmp_path, table, no_work):
    utf_16 = table("moving,fixed\nä,b\n", encoding="utf-16")
    for path in (utf_16, tmp_path / "absent.csv", tmp_path):
        line = one_line(call("--pairs", path, "-o", tmp_path / "out"))
        assert "cannot be read" in line and path.name in line
    assert not names(tmp_path)


def test_many_absent_files_are_counted(tmp_path, table):
    lines = [f"m{k}.nii,f{k}.nii" for k in range(20)]
    line = one_line(call("--pairs", table("\n".join(["moving,fixed", *lines])), "-o", tmp_path))
    assert "moving 'm0.nii' (line 2)" in line and "and 35 more" in line and len(line) < 600


def test_semicolons_separate_too_and_names_are_numbered_alike(table):
    lines = ["t2/0.nii.gz;t1-0.nii"] * 10
    rows = read_pairs(table("\n".join(["moving;fixed", *lines])))
    assert [row.name for row in rows] == [f"{k:02d}-0" for k in range(1, 11)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.nii", "b.nii", "-o", "out"], "leave out MOVING and FIXED"),
        (["a.nii", "-o", "out"], "leave out MOVING and FIXED"),
        (["-o", "out.nii.gz"], "needs a folder as --output"),
        (["-o", "out", "--png", "a.png"], "--png draws one pair"),
        (["-o", "out", "--bins", "4"], "'--bins': must be a whole number from 8 to 1024"),
        ([], "Missing option '-o'"),
    ],
)
def test_what_does_not_go_with_a_table_is_a_wrong_command_line(
    study, tmp_path, monkeypatch, no_work, arguments, words
):
    monkeypatch.chdir(tmp_path)
    outcome = call("--pairs", study / "pairs.csv", *arguments)
    assert outcome.exit_code == 2 and words in outcome.stderr
    assert not names(tmp_path)


@pytest.mark.parametrize(("images", "absent"), [((), "MOVING"), (("a.nii",), "FIXED")])
def test_without_a_table_both_images_are_needed(images, absent):
    outcome = call(*images, "-o", "out")
    assert outcome.exit_code == 2 and f"Missing argument '{absent}'" in outcome.stderr
    assert outcome.stderr.startswith("Usage: ")


def test_outputs_that_cannot_be_made(study, tmp_path, no_work):
    given = ("--pairs", study / "pairs.csv", "-o")
    assert "does not exist" in one_line(call(*given, tmp_path / "no" / "out"))
    (tmp_path / "file").write_text("in the way")
    assert "is a file" in one_line(call(*given, tmp_path / "file"))
    assert "backend" in one_line(call(*given, tmp_path / "out", "--backend", "cuda"))
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
@pytest.mark.parametrize(
    ("number", "code", "rows"),
    [(signal.SIGINT, 130, 5), (signal.SIGTERM, 143, 5), (signal.SIGINT, 130, 50)],
)  # 50 rows are enough for worker processes
def test_an_interruption_ends_everything_and_keeps_what_is_written(tmp_path, number, code, rows):
    pair = deformed_pair((224, 224), np.random.default_rng(0))
    for name in ("fixed", "moving"):
        image = nib.Nifti1Image(getattr(pair, name)[..., None], np.eye(4))
        image.to_filename(tmp_path / f"{name}.nii")
    # an image onto itself ends at once, the others take longer than this test
    lines = ["moving,fixed", "fixed.nii,fixed.nii", *["moving.nii,fixed.nii"] * (rows - 1)]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    command = [sys.executable, "-m", "varreg", "register", "--pairs", "pairs.csv", "-o", "out"]
    endless = ["--iterations", "100000", "--energy-tolerance", "0", "--gradient-tolerance", "0"]
    process = subprocess.Popen(
        [*command, "--threads", "2", "--memory", "0", *endless], cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    limit = time.monotonic() + 60
    while not list((tmp_path / "out").glob("*1-fixed")) and time.monotonic() < limit:
        time.sleep(0.02)
    time.sleep(0.5)
    if number == signal.SIGINT:  # what a terminal does: all processes get it
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    begun = time.monotonic()
    _, stderr = process.communicate(timeout=60)
    assert time.monotonic() - begun < 20
    assert process.returncode == code and "Traceback" not in stderr
    if number == signal.SIGINT:
        assert f"of {rows} pairs were written, no summary" in stderr
    assert any(name.endswith("1-fixed") for name in names(tmp_path / "out"))
    assert "summary.csv" not in names(tmp_path / "out")
    assert not [name for name in names(tmp_path / "out") if name.startswith(".")]


def test_warnings_are_columns_of_the_summary_and_end_a_strict_run(study, table, tmp_path):
    np.savetxt(tmp_path / "collapsed.txt", np.diag([0.4, 1.0, 1.0]))
    pairs = table("moving,fixed,name\nt2/0.nii.gz,t1-0.nii,a\nt2/1.nii.gz,t1-1.nii,b")
    given = ["--pairs", pairs, "-o", tmp_path / "out", *FEW]
    wrong = [*given, "--affine", tmp_path / "collapsed.txt"]
    outcome = call(*wrong)
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("Checks: 2 of 2 answers have warnings.")
    for row in summary(tmp_path / "out"):
        result = varreg.load(tmp_path / "out" / row["name"])
        assert int(row["warnings"]) == len(result.warnings) > 0
        assert all(check.sentence in row["warning_text"] for check in result.warnings)
        assert "--affine rigid" in row["warning_text"] and "='" not in row["warning_text"]
    outcome = call(*wrong, "--strict", "--force")
    assert outcome.exit_code == 3
    assert [line[:11] for line in outcome.stderr.splitlines()] == ["varreg: a: ", "varreg: b: "]
    right = call("--pairs", study / "pairs.csv", "-o", tmp_path / "right", "--strict")
    assert right.exit_code == 0, right.output
    assert all(row["warnings"] == "0" for row in summary(tmp_path / "right"))
    broken = table("moving,fixed,name\nbroken.nii,t1-0.nii,a\nt2/1.nii.gz,t1-1.nii,b", "broken.csv")
    wrong[1:4] = [broken, "-o", tmp_path / "some"]
    assert call(*wrong, "--strict").exit_code == 1  # what failed outweighs what warns
