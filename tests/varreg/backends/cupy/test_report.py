"""``examples/benchmarks/gpu.py`` runs from its first part to its last, with a stand-in for the device."""

import importlib
import sys
from pathlib import Path

import pytest

from varreg.selftest import running
from varreg.selftest.cases import ValueCase

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
    monkeypatch.setattr(module, "SECONDS", 0.0)
    monkeypatch.setattr(module, "LAUNCHES", 1)
    monkeypatch.setattr(running, "value_cases", lambda: [ValueCase("mi", 2, True)])
    monkeypatch.setattr(running, "map_cases", list)
    monkeypatch.setattr(running, "answer_cases", list)
    yield module
    for name in names & set(sys.modules):
        del sys.modules[name]
    sys.modules.update(before)


@pytest.mark.slow  # more than a minute
def test_every_part_ends_in_a_table(gpu, tmp_path):
    bench = gpu.Bench(0, (32, 32), (16, 18, 16), pairs=2)
    gpu.run(bench, list(gpu.PARTS), 10.0, tmp_path / "report.md")
    said = (tmp_path / "report.md").read_text()
    assert "FAILED" not in said
    assert "1 of 1 cases passed." in said
    assert all(f"\n## {name}\n" in said for name in gpu.PARTS)
    assert "| joint_histogram" in said and "yes" in said and "NO" not in said


def test_what_there_is_no_time_for_is_named(gpu, tmp_path):
    gpu.run(gpu.Bench(0), ["times", "nothing"], 0.0, tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text().count("Left out") == 2


def test_a_part_that_fails_leaves_the_others(gpu, monkeypatch, tmp_path):
    def broken(bench):
        raise RuntimeError("no")

    monkeypatch.setitem(gpu.PARTS, "times", broken)
    gpu.run(gpu.Bench(0, (40, 40)), ["times", "selftest"], 10.0, tmp_path / "report.md")
    said = (tmp_path / "report.md").read_text()
    assert "FAILED: RuntimeError: no" in said and "1 of 1 cases passed." in said
