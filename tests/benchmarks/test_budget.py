"""A report within a limit of time."""

import subprocess
import sys
import textwrap
import time
from types import SimpleNamespace

import pytest

from .heads import FOLDER

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="examples are not part of this copy")


@pytest.fixture
def budget(bench):
    return bench("budget")


@pytest.fixture
def clock():
    """Seconds that only pass when an item says so."""
    return SimpleNamespace(seconds=0.0)


def part(budget, clock, name, share, durations, seen=None):
    """A part whose items take these seconds."""

    def item(k, duration):
        def compute():
            if seen is not None:
                seen.append(f"{name}{k}")
            clock.seconds += duration
            return [[f"{name}{k}", f"{duration}"]]

        return budget.Item(f"{name}{k}", compute)

    items = [item(k, duration) for k, duration in enumerate(durations)]
    return budget.Part(name, f"About {name}.", ("item", "s"), share, lambda: items)


def written(budget, clock, path, parts, seconds=100.0):
    report = budget.Report("# Title", path, seconds, lambda: clock.seconds)
    report.add(parts)
    return path.read_text()


def cells(text):
    """First cell -> second cell of all tables."""
    rows = (
        line.split("|")
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| :")
    )
    return {row[1].strip(): row[2].strip() for row in rows}


def test_all_that_fits_is_done(budget, clock, tmp_path):
    parts = [part(budget, clock, "a", 0.5, [10, 20]), part(budget, clock, "b", 0.5, [40])]
    text = written(budget, clock, tmp_path / "report.md", parts)
    assert text.startswith("# Title\n\n## a\n\nAbout a. (30 s)") and "left out" not in text.lower()
    assert cells(text) == {"item": "s", "a0": "10", "a1": "20", "b0": "40"}
    assert [path.name for path in tmp_path.iterdir()] == ["report.md"]


def test_a_part_has_its_share_and_takes_none_of_the_next(budget, clock, tmp_path):
    seen = []
    parts = [
        part(budget, clock, "a", 0.3, [20, 20, 1], seen),
        part(budget, clock, "b", 0.3, [29, 1, 1], seen),
    ]
    text = written(budget, clock, tmp_path / "report.md", parts)
    assert seen == ["a0", "a1", "b0", "b1"]  # what has begun is not counted twice
    assert cells(text)["a2"] == cells(text)["b2"] == "left out: time"


def test_no_part_begins_after_the_limit(budget, clock, tmp_path):
    seen = []
    parts = [
        part(budget, clock, "a", 0.9, [120], seen),
        part(budget, clock, "b", 0.9, [1], seen),
    ]
    text = written(budget, clock, tmp_path / "report.md", parts)
    assert seen == ["a0"]
    assert "## b\n\nAbout b.\n\nLeft out: time." in text


def test_the_report_is_written_after_each_row(budget, clock, tmp_path):
    path, texts = tmp_path / "report.md", []
    one, two = part(budget, clock, "a", 0.5, [1, 1]), part(budget, clock, "b", 0.5, [1])

    def read():
        texts.append(path.read_text())
        return [["b0", "read"]]

    items = [*one.items(), budget.Item("then", read)]
    one.items = lambda: items
    written(budget, clock, path, [one, two])
    (text,) = texts
    assert cells(text) == {"item": "s", "a0": "1", "a1": "1"}
    assert "## b\n\nNot reached, left out: time." in text


def test_what_fails_is_a_row_and_costs_no_other(budget, clock, tmp_path):
    def fail():
        raise ValueError("a | b\nc")

    broken = part(budget, clock, "a", 0.5, [1])
    items = [budget.Item("broken", fail), *broken.items()]
    broken.items = lambda: items
    nothing = budget.Part("b", "About b.", ("item", "s"), 0.2, fail)
    text = written(budget, clock, tmp_path / "report.md", [broken, nothing])
    found = cells(text)
    assert found["broken"] == found["b"] == "FAILED: ValueError: a / b c"
    assert found["a0"] == "1"


@pytest.mark.skipif(not hasattr(__import__("signal"), "setitimer"), reason="no such signals here")
def test_an_item_is_broken_off_when_its_part_is_over(budget, tmp_path):
    def sleep():
        try:
            time.sleep(30)
        except Exception:
            pytest.fail("TimeUp is no Exception")
        return [["slow", "done"]]

    slow = budget.Part(
        "a", "About a.", ("item", "s"), 0.1, lambda: [budget.Item("slow", sleep)] * 2
    )
    begun = time.perf_counter()
    report = budget.Report("# Title", tmp_path / "report.md", 3.0)
    report.add([slow])
    assert time.perf_counter() - begun < 2
    assert (tmp_path / "report.md").read_text().count("left out: time") == 2


def test_what_cannot_be_broken_off_ends_with_the_process(budget, tmp_path):
    script = f"""
        import contextlib, pathlib, sys, time
        sys.path.insert(0, {str(FOLDER)!r})
        import budget

        @contextlib.contextmanager
        def never(seconds):
            yield

        budget.interrupted = never
        items = [budget.Item("quick", lambda: [["quick", "done"]]), budget.Item("hangs", lambda: time.sleep(60))]
        part = budget.Part("a", "About a.", ("item", "s"), 0.9, lambda: items)
        report = budget.Report("# Title", pathlib.Path({str(tmp_path / "report.md")!r}), 1.0)
        with report.ended_at_the_limit():
            report.add([part])
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert ended.returncode == budget.ENDED and "ended at the limit of 1 s" in ended.stderr
    assert cells((tmp_path / "report.md").read_text())["quick"] == "done"


def test_a_report_that_is_ready_in_time_is_not_ended(budget, monkeypatch, tmp_path):
    monkeypatch.setattr(budget, "LEAST", 0.2)
    report = budget.Report("# Title", tmp_path / "report.md", 0.2)
    with report.ended_at_the_limit():
        pass
    time.sleep(0.4)  # this process is still here
    assert report.left < 0
