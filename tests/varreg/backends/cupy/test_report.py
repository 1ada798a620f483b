"""``examples/benchmarks/gpu.py`` runs from its first part to its last, with a stand-in for the device."""

import argparse
import dataclasses
import importlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from varreg.selftest import running
from varreg.selftest.cases import ValueCase
from varreg.selftest.images import deformed_pair as smooth_pair

from .device import needs_compiler

FOLDER = Path(__file__).resolve().parents[4] / "examples" / "benchmarks"
pytestmark = [
    needs_compiler,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="examples are not part of this copy"),
]


@pytest.fixture
def gpu(monkeypatch, device):
    """The script, with little to do."""
    monkeypatch.syspath_prepend(str(FOLDER))
    names = {file.stem for file in FOLDER.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names & set(sys.modules)}
    module = importlib.import_module("gpu")
    monkeypatch.setattr(importlib.import_module("gpu_times"), "SECONDS", 0.0)
    monkeypatch.setattr(module, "LAUNCHES", 1)
    monkeypatch.setattr(running, "value_cases", lambda: [ValueCase("mi", 2, True)])
    monkeypatch.setattr(running, "map_cases", list)
    monkeypatch.setattr(running, "answer_cases", list)
    yield module
    for name in names & set(sys.modules):
        del sys.modules[name]
    sys.modules.update(before)


def peer_of(python):
    """What the command line says of other tools and people."""
    return argparse.Namespace(data=None, spacing=1.0, limit=1, threads=1, peer_python=python)


@pytest.mark.slow  # more than a minute
def test_every_part_ends_in_a_table(gpu, tmp_path):
    people = peer_of(sys.executable)
    bench = gpu.Bench(0, (32, 32), (16, 18, 16), pairs=2, people=people)
    gpu.run(bench, list(gpu.PARTS), 10.0, tmp_path / "report.md")
    said = (tmp_path / "report.md").read_text()
    assert "FAILED" not in said and "left out" not in said
    assert "1 of 1 cases passed." in said
    assert all(f"\n## {name}\n" in said for name in gpu.PARTS)
    assert "| joint_histogram" in said and "yes" in said and "NO" not in said


def test_the_shares_of_the_parts_leave_time_to_write(gpu):
    bench = gpu.Bench(0, people=peer_of(sys.executable))
    assert 0.9 < sum(part(bench).share for part in gpu.PARTS.values()) < 1


def test_what_there_is_no_time_for_is_named(gpu, tmp_path):
    gpu.run(gpu.Bench(0), ["times", "selftest"], 0.0, tmp_path / "report.md", lambda: 0.0)
    assert (tmp_path / "report.md").read_text().count("Left out: time") == 2


def test_cases_that_there_was_no_time_for_are_not_among_those_that_passed(
    gpu, monkeypatch, tmp_path
):
    cases, clock = [ValueCase("mi", 2, True), ValueCase("ssd", 2, True)], [0.0]
    monkeypatch.setattr(running, "value_cases", lambda: cases)
    compared = running.compared_values

    def slow(*arguments):
        clock[0] += 60
        return compared(*arguments)

    monkeypatch.setattr(running, "compared_values", slow)
    gpu.run(gpu.Bench(0), ["selftest"], 4.0, tmp_path / "report.md", lambda: clock[0])
    said = (tmp_path / "report.md").read_text()
    assert (
        "1 of 1 cases passed." in said
        and "ssd, 2D, masks, zero-mean, linear left out: time" in said
    )


def test_a_part_that_fails_leaves_the_others(gpu, monkeypatch, tmp_path):
    monkeypatch.setattr(gpu.Bench, "solve", lambda *_, **__: 1 / 0)
    bench = gpu.Bench(0, (40, 40))
    gpu.run(bench, ["memory", "selftest"], 10.0, tmp_path / "report.md")
    said = (tmp_path / "report.md").read_text()
    assert "FAILED: ZeroDivisionError" in said and "1 of 1 cases passed." in said


def peer_rows(gpu, tmp_path, **people):
    """The table of the peers."""
    given = argparse.Namespace(**{**vars(peer_of(sys.executable)), **people})
    bench = gpu.Bench(0, (64, 60), (20, 18, 16), people=given)
    gpu.run(bench, ["peers"], 60.0, tmp_path / "report.md")
    said = (tmp_path / "report.md").read_text()
    return {row[1]: row[2:-1] for row in (
        [cell.strip() for cell in line.split("|")] for line in said.splitlines() if line.startswith("| ") and "| :" not in line
    )}  # fmt: skip


def test_a_peer_that_is_not_installed_is_named_and_varreg_measured(gpu, monkeypatch, tmp_path):
    (method,) = importlib.import_module("methods").find_methods(["fireants"])
    absent = dataclasses.replace(method, packages=("no_such_package",))
    monkeypatch.setattr(importlib.import_module("gpu_peers"), "find_methods", lambda _: [absent])
    rows = peer_rows(gpu, tmp_path)
    assert len(rows) == 7  # with the header
    assert rows["fireants, head"][0] == "not installed: no_such_package"
    for where in ("GPU", "CPU"):
        assert float(rows[f"varreg on the {where}, slice"][0]) < 1.0


@pytest.mark.slow
def test_a_peer_runs_in_a_process_of_its_own_on_the_same_pair(gpu, monkeypatch, tmp_path):
    module, folders = importlib.import_module("gpu_peers"), []
    load_pairs = importlib.import_module("pairs").load_pairs

    def measured(method, folder, threads, python):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"
        folders.append(load_pairs(folder)[0])
        return {"tre": 0.5, "p95": 1.0, "folds": 0.0, "seconds": 2.0}, {}

    monkeypatch.setattr(module, "measured_apart", measured)
    rows = peer_rows(gpu, tmp_path, peer_python="/an/other/python")
    assert rows["fireants, slice"] == ["0.500", "1.000", "0.000", "2.00"]
    assert [pair.fixed.shape for pair in folders] == [(64, 60), (20, 18, 16)]
    monkeypatch.setattr(module, "measured_apart", lambda *_: ({"error": "its process ended"}, {}))
    rows = peer_rows(gpu, tmp_path, peer_python="/an/other/python")
    assert rows["fireants, slice"][0] == "its process ended"


@pytest.mark.parametrize("before, seen", [(None, "1"), ("2,3", "3"), ("GPU-a,GPU-b", "GPU-b")])
def test_a_peer_sees_the_card_that_varreg_has(gpu, monkeypatch, before, seen):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    with importlib.import_module("gpu_peers").only_card(1):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == seen
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == before


@pytest.mark.slow
def test_people_take_the_place_of_phantoms(gpu, monkeypatch, tmp_path):
    module = importlib.import_module("gpu_peers")
    moving, fixed = (array.astype(np.float32) for array in smooth_pair((24, 22, 20), 3))
    labels = np.digitize(fixed, [0.3, 0.6]) * 100
    arrays = [fixed, labels, moving, np.digitize(1 - moving**2, [0.3, 0.6]) * 100]
    monkeypatch.setattr(module, "people", lambda *_: iter([("2 -> 1", arrays)]))
    one = {
        "pair": "2 -> 1",
        "dice": 0.7,
        "cortex": 0.6,
        "surface": 2.5,
        "sdlogj": 0.1,
        "folds": 0.0,
        "seconds": 3.0,
    }
    monkeypatch.setattr(module, "people_apart", lambda *_: [one])
    given = dict(data=Path("manifest.json"), peer_python="/an/other/python")
    rows = peer_rows(gpu, tmp_path, **given)
    assert rows["fireants, 2 -> 1"] == ["0.700", "0.600", "2.500", "0.100", "0.000", "3.00"]
    assert 0 < float(rows["varreg on the GPU, 2 -> 1"][0]) <= 1
    monkeypatch.setattr(module, "people_apart", lambda *_: [])
    assert peer_rows(gpu, tmp_path, **given)["fireants"][0] == "failed"
