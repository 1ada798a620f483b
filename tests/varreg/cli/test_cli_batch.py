"""``varreg register --pairs``: what is written for a table of pairs, and what is refused before."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

import varreg
from varreg.batch import batch
from varreg.batch.pair_table import read_pairs
from varreg.batch.processes import shutdown_idle_pool
from varreg.cli.commands import main
from varreg.cli.table import register_table
from varreg.data.phantom.pairs import deformed_pair
from varreg.errors import InputError

FEW = ["--levels", "2", "--iterations", "3", "--affine-iterations", "3"]
SAME = dict(levels=(2,), iterations=3, affine_iterations=3)
ROOT = Path(varreg.__file__).resolve().parents[1]


def call(*arguments):
    return CliRunner().invoke(main, ["register", *map(str, arguments)])


def one_line(outcome, code=1):
    """The only line of an error."""
    lines = outcome.stderr.strip().splitlines()
    assert outcome.exit_code == code, outcome.output
    assert len(lines) == 1 and lines[0].startswith("varreg: "), outcome.stderr
    return lines[0]


def summary(folder):
    with open(folder / "summary.csv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Three pairs of small slices, a mask, a picture that is no image, and a table."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "t2").mkdir()
    for number in range(3):
        pair = deformed_pair((48 + 4 * number, 52), np.random.default_rng(number))
        for array, path in ((pair.moving, f"t2/{number}.nii.gz"), (pair.fixed, f"t1-{number}.nii")):
            nib.Nifti1Image(array[..., None], np.eye(4)).to_filename(folder / path)
        mask = (pair.fixed > 0)[..., None].astype(np.uint8)
        nib.Nifti1Image(mask, np.eye(4)).to_filename(folder / f"head-{number}.nii.gz")
    (folder / "broken.nii").write_text("not an image")
    lines = ["moving,fixed", *(f"t2/{number}.nii.gz,t1-{number}.nii" for number in range(3))]
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder


@pytest.fixture
def table(study):
    """Writes a table beside the images."""
    made = []

    def write(text, name="table.csv", encoding="utf-8"):
        made.append(study / name)
        made[-1].write_bytes(text.encode(encoding))
        return made[-1]

    yield write
    for path in made:
        path.unlink()


def fail_if_asked(*_, **__):
    """In place of the generator of results."""
    pytest.fail("computed in vain")
    yield


@pytest.fixture
def no_work(monkeypatch):
    monkeypatch.setattr("varreg.batch.batch._results", fail_if_asked)


# -- what is written


@pytest.mark.parametrize("threads", [1, 2])
def test_every_pair_gets_what_register_gives_it(study, tmp_path, monkeypatch, threads):
    monkeypatch.chdir(tmp_path)  # the paths count from the table
    deformable = (*FEW, "--deformable", "--threads", threads)
    outcome = call("--pairs", study / "pairs.csv", "-o", "out", *deformable)
    assert outcome.exit_code == 0, outcome.output
    assert "3 of 3 pairs were registered" in outcome.stdout and outcome.stderr == ""
    assert names(tmp_path / "out") == ["1-0", "2-1", "3-2", "summary.csv"]
    for number, row in enumerate(summary(tmp_path / "out")):
        folder = tmp_path / "out" / row["name"]
        assert names(folder) == ["result.json", "u_nodes.nii.gz", "warped.nii.gz"]
        files = study / f"t2/{number}.nii.gz", study / f"t1-{number}.nii"
        wanted, found = varreg.solve(*files, deformable=True, **SAME), varreg.load(folder)
        np.testing.assert_array_equal(found.displacement, wanted.displacement)
        assert found.energy == wanted.energy and found.moving_name == f"{number}.nii.gz"
        assert (row["moving"], row["fixed"]) == (f"t2/{number}.nii.gz", f"t1-{number}.nii")
        assert float(row["similarity_before"]) == wanted.start_energy.similarity
        assert float(row["similarity_after"]) == wanted.energy.similarity
        assert float(row["energy"]) == wanted.energy.total
        assert float(row["smallest_determinant"]) == wanted.smallest_determinant
        assert row["stop"] == wanted.stop.value and row["error"] == ""
        assert 0 < float(row["seconds"]) < 60


@pytest.mark.parametrize(
    ("rows", "threads", "size", "processes"),
    [(48, 3, 10, 3), (48, None, 10, 2), (47, 3, 10, None), (48, 1, 10, None), (48, 3, 2**19, None)],
)
def test_many_slices_get_worker_processes(tmp_path, monkeypatch, rows, threads, size, processes):
    for name in ("m.nii", "f.nii"):
        (tmp_path / name).write_bytes(bytes(size if name == "f.nii" else 10))
    (tmp_path / "pairs.csv").write_text("\n".join(["moving,fixed", *["m.nii,f.nii"] * rows]))
    monkeypatch.setattr("varreg.stages.arguments.available_threads", lambda: 2)
    used = []

    def iterate_batch(pairs, **given):
        used.append(given["processes"])
        yield from [InputError("not computed")] * len(pairs)

    monkeypatch.setattr("varreg.batch.batch.iterate_batch", iterate_batch)
    table, out = str(tmp_path / "pairs.csv"), str(tmp_path / "out")
    register_table(table, out, False, lambda *_: "", lambda _: None, threads=threads)
    assert used == [processes]


def test_pairs_from_worker_processes_are_those_of_register(study, tmp_path, monkeypatch):
    monkeypatch.setattr("varreg.batch.process_count.LEAST_FOR_PROCESSES", 3)
    monkeypatch.chdir(study)
    outcome = call("--pairs", "pairs.csv", "-o", tmp_path / "out", *FEW, "--threads", 2, "-v")
    shutdown_idle_pool()
    assert outcome.exit_code == 0, outcome.output
    for number, row in enumerate(summary(tmp_path / "out")):
        wanted = varreg.solve(study / f"t2/{number}.nii.gz", study / f"t1-{number}.nii", **SAME)
        found = varreg.load(tmp_path / "out" / row["name"])
        np.testing.assert_array_equal(found.displacement, wanted.displacement)
        assert found.energy == wanted.energy and found.provenance["threads"] == 1 + (number == 0)


def test_processes_are_asked_for_on_the_command_line(study, tmp_path, monkeypatch):
    asked = []
    real = batch.iterate_batch
    monkeypatch.setattr(
        "varreg.batch.batch.iterate_batch",
        lambda *pairs, **given: asked.append(given["processes"]) or real(*pairs, **given),
    )
    monkeypatch.chdir(study)
    for count, number in (((), None), (("--processes", 0), 0)):
        outcome = call("--pairs", "pairs.csv", "-o", tmp_path / str(number), *FEW, *count, "-q")
        assert outcome.exit_code == 0, outcome.output
    assert asked == [None, 0]
    outcome = call("t2/0.nii.gz", "t1-0.nii", "-o", tmp_path / "x", "--processes", 2)
    assert outcome.exit_code == 2 and "--pairs" in outcome.output


def test_without_stderr_everything_is_written(study, tmp_path, monkeypatch):
    for stream in ("stderr", "stdout"):  # both are None under pythonw
        monkeypatch.setattr(sys, stream, None)
        out = str(tmp_path / stream)
        arguments = ["register", "--pairs", str(study / "pairs.csv"), "-o", out, *FEW]
        main(arguments, standalone_mode=False)
        assert len(summary(tmp_path / stream)) == 3
        single = [str(study / "t2/0.nii.gz"), str(study / "t1-0.nii"), "-o", f"{out}.nii.gz"]
        main(["register", *single, *FEW], standalone_mode=False)
        assert (tmp_path / f"{stream}.nii.gz").is_file()


def test_names_masks_tabs_and_a_byte_order_mark(study, tmp_path, table):
    text = (
        "fixed\tname\tmoving\tfixed_mask\tmoving_mask\r\n"
        "t1-0.nii\tsub 01\tt2/0.nii.gz\thead-0.nii.gz\t\r\n"
        "\r\n"
        f"t1-1.nii\t\t{study / 't2' / '1.nii.gz'}\t\r\n"
    )
    given = table(text, "pairs.tsv", "utf-8-sig")
    outcome = call("--pairs", given, "-o", tmp_path / "out", *FEW, "-q")
    assert outcome.exit_code == 0 and outcome.output == ""
    assert names(tmp_path / "out") == ["2-1", "sub 01", "summary.csv"]
    pair = study / "t2/0.nii.gz", study / "t1-0.nii"
    masked = varreg.solve(*pair, fixed_mask=study / "head-0.nii.gz", **SAME)
    assert varreg.load(tmp_path / "out" / "sub 01").energy == masked.energy
    assert masked.energy != varreg.solve(*pair, **SAME).energy


def test_options_hold_for_every_pair(study, tmp_path):
    options = ("--no-deformable", "--affine", "rigid", "--bins", "24", "--json")
    outcome = call("--pairs", study / "pairs.csv", "-o", tmp_path / "out", *options)
    printed = json.loads(outcome.stdout)
    assert [report["name"] for report in printed] == ["1-0", "2-1", "3-2"]
    for report in printed:
        found = varreg.load(tmp_path / "out" / report["name"])
        assert found.options.bins == 24 and found.transform.nodes is None
        assert report["energy"] == found.energy.total and report["error"] == ""
        turn = found.affine[:2, :2]
        np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=1e-12)


def test_verbose_prints_a_line_for_every_pair(study, tmp_path):
    outcome = call("--pairs", study / "pairs.csv", "-o", tmp_path / "out", *FEW, "-v")
    assert [line.split(":")[0] for line in outcome.stderr.splitlines()][-3:] == [
        "1-0",
        "2-1",
        "3-2",
    ]


def test_a_pair_that_fails_does_not_stop_the_others(tmp_path, table):
    lines = ["moving,fixed", "t2/0.nii.gz,t1-0.nii", "broken.nii,t1-1.nii", "t2/2.nii.gz,t1-2.nii"]
    outcome = call("--pairs", table("\n".join(lines)), "-o", tmp_path / "out", *FEW)
    line = one_line(outcome)
    assert line.startswith("varreg: 2-broken: error: `moving` is ") and "broken.nii" in line
    assert "2 of 3 pairs were registered" in outcome.stdout
    assert names(tmp_path / "out") == ["1-0", "3-2", "summary.csv"]
    failed = summary(tmp_path / "out")[1]
    assert failed.pop("error") in line and failed.pop("name") == "2-broken"
    assert (failed.pop("moving"), failed.pop("fixed")) == ("broken.nii", "t1-1.nii")
    assert set(failed.values()) == {""}


def test_a_defect_has_its_own_exit_code(study, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("varreg.results.result.Result.save", fail)
    given = ("--pairs", study / "pairs.csv", "-o", tmp_path / "out", *FEW)
    outcome = call(*given, "--debug")
    assert outcome.exit_code == 70 and outcome.stderr.count("Traceback") == 3
    assert outcome.stderr.count("unexpected ZeroDivisionError: by zero") == 3
    assert names(tmp_path / "out") == ["summary.csv"]


def test_what_exists_is_replaced_only_when_forced(study, tmp_path, monkeypatch):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("kept")
    given = ("--pairs", study / "pairs.csv", "-o", out, *FEW, "-q")
    assert call(*given).exit_code == 0
    with monkeypatch.context() as patched:
        patched.setattr("varreg.batch.batch._results", fail_if_asked)
        assert "--force" in one_line(call(*given))
        for name in ("1-0", "3-2"):
            (out / name).rename(tmp_path / name)
        assert "2-1" in one_line(call(*given))
        (out / "2-1").rename(tmp_path / "2-1")
        assert "summary.csv" in one_line(call(*given))
    assert call(*given, "--force").exit_code == 0
    assert call(*given, "--force").exit_code == 0
    assert names(out) == ["1-0", "2-1", "3-2", "notes.txt", "summary.csv"]


def test_a_foreign_folder_is_never_replaced(study, tmp_path, no_work):
    foreign = tmp_path / "out" / "2-1"
    foreign.mkdir(parents=True)
    (foreign / "chapter.tex").write_text("years of work")
    line = one_line(call("--pairs", study / "pairs.csv", "-o", tmp_path / "out", "--force"))
    assert "not replaced" in line and names(tmp_path / "out") == ["2-1"]


# -- what is refused before anything is computed


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


# -- interruption


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


# -- warnings


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
        assert row["warning_text"] == " ".join(map(str, result.warnings))
    outcome = call(*wrong, "--strict", "--force")
    assert outcome.exit_code == 3
    assert [line[:11] for line in outcome.stderr.splitlines()] == ["varreg: a: ", "varreg: b: "]
    right = call("--pairs", study / "pairs.csv", "-o", tmp_path / "right", "--strict")
    assert right.exit_code == 0, right.output
    assert all(row["warnings"] == "0" for row in summary(tmp_path / "right"))
    broken = table("moving,fixed,name\nbroken.nii,t1-0.nii,a\nt2/1.nii.gz,t1-1.nii,b", "broken.csv")
    wrong[1:4] = [broken, "-o", tmp_path / "some"]
    assert call(*wrong, "--strict").exit_code == 1  # what failed outweighs what warns
