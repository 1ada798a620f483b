"""A table of pairs: what is written."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest

import varreg
from varreg.batch import batch
from varreg.batch.pair_table import TableRow
from varreg.batch.processes import shutdown_idle_pool
from varreg.cli.commands import main
from varreg.cli.resume import FinishedPairs
from varreg.cli.table import register_table
from varreg.errors import InputError

from .tables import FEW, call, fail_if_asked, names, one_line, summary

SAME = dict(levels=(2,), iterations=3, affine_iterations=3)


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
        assert names(folder) == ["job.json", "result.json", "u_nodes.nii.gz", "warped.nii.gz"]
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


def test_a_regularity_holds_for_every_pair(study, tmp_path):
    options = ("--regularity", "fine", "--volume-weight", "0.3", "--deformable", *FEW)
    call("--pairs", study / "pairs.csv", "-o", tmp_path / "out", *options)
    for name in ("1-0", "2-1", "3-2"):
        found = varreg.load(tmp_path / "out" / name)
        assert (found.options.regularity, found.options.volume_weight) == ("fine", 0.3)
        assert found.energy.volume > 0


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
        line = one_line(call(*given, "--bins", "32"))
        assert "is of other images, options" in line and "--force" in line
        for name in ("1-0", "2-1", "3-2"):
            (out / name / "job.json").unlink()  # as of a version that kept no records
        assert "--force" in one_line(call(*given))
        for name in ("1-0", "3-2"):
            (out / name).rename(tmp_path / name)
        assert "2-1" in one_line(call(*given))
        (out / "2-1").rename(tmp_path / "2-1")
        (out / "summary.csv").write_text("of somebody else")
        assert "summary.csv" in one_line(call(*given))
    assert call(*given, "--force").exit_code == 0
    assert call(*given, "--force").exit_code == 0
    assert names(out) == ["1-0", "2-1", "3-2", "notes.txt", "summary.csv"]


def test_finished_pairs_are_kept_and_the_rest_is_done(study, tmp_path, monkeypatch):
    out = tmp_path / "out"
    given = ("--pairs", study / "pairs.csv", "-o", out, *FEW, "-q")
    assert call(*given).exit_code == 0
    summary = (out / "summary.csv").read_text()
    written = {file: file.stat().st_mtime_ns for file in out.glob("*/result.json")}
    shutil.rmtree(out / "2-1")
    (out / "summary.csv").unlink()  # as after a kill
    assert call(*given).exit_code == 0
    kept = [file for file in out.glob("*/result.json") if file.stat().st_mtime_ns == written[file]]
    assert {file.parent.name for file in kept} == {"1-0", "3-2"}
    lines, before = ((out / "summary.csv").read_text().splitlines(), summary.splitlines())
    assert [lines[k] for k in (0, 1, 3)] == [before[k] for k in (0, 1, 3)]
    monkeypatch.setattr("varreg.api.solve", fail_if_asked)
    monkeypatch.setattr("varreg.batch.executor.solve", fail_if_asked)
    assert call(*given).exit_code == 0  # nothing is left to do
    assert (out / "summary.csv").read_text().splitlines() == lines


def test_another_size_of_a_slide_is_another_job(tmp_path):
    (tmp_path / "slide.ome.tif").write_bytes(b"any")

    def finished(level):
        image = varreg.ImageFile(tmp_path / "slide.ome.tif", level=level)
        row = TableRow(1, "a", {}, tmp_path)
        pairs = FinishedPairs(tmp_path, [row], [{"moving": image}], {}, again=True)
        return pairs._jobs["a"].settings

    assert finished(1) == finished(1) != finished(2)


def test_a_foreign_folder_is_never_replaced(study, tmp_path, no_work):
    foreign = tmp_path / "out" / "2-1"
    foreign.mkdir(parents=True)
    (foreign / "chapter.tex").write_text("years of work")
    line = one_line(call("--pairs", study / "pairs.csv", "-o", tmp_path / "out", "--force"))
    assert "not replaced" in line and names(tmp_path / "out") == ["2-1"]
