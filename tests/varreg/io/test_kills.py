"""SIGKILL before every step on the file system: nothing is lost, and the next run leaves nothing behind."""

import os
import shutil
import signal
import sys
import time

import numpy as np
import pytest

import varreg
from varreg.io import leftovers, publishing
from varreg.io.atomic import atomic_path
from varreg.results.result import Result

from ..children import forked, needs_fork
from .test_result_folder import slice_of_a_volume

#: Audit events of what changes a folder; each comes before the change.
STEPS = {"open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"}


def killed_at(step, action, folder):
    """Whether a child that does something was killed at its step; False if it had fewer."""

    def until_killed():
        left = [step]

        def hook(event, arguments):
            if event in STEPS and str(folder) in str(arguments[0]):
                left[0] -= 1
                if left[0] == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        action()

    _, status = os.waitpid(forked(until_killed), 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def next_run(folder):
    """Another process writes something else into the same folder."""

    def write():
        with atomic_path(folder / "else", overwrite=True) as file:
            file.write_text("else")

    assert os.waitpid(forked(write), 0)[1] == 0
    (folder / "else").unlink()


def at_every_step(action, folder, before, state):
    """Kill at each step, from the same beginning; (states found, steps)."""
    states = set()
    for step in range(1, 200):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        before()
        killed = killed_at(step, action, folder)
        next_run(folder)
        states.add(state())
        assert not list(folder.glob(".varreg-*")), f"left at step {step}"
        if not killed:
            return states, step
    raise AssertionError("no end")


def version(number):
    """A result that tells which it is."""
    result = slice_of_a_volume()
    object.__setattr__(result, "overlap", float(number))
    return result


def stored(path):
    """Which version a folder holds, every file of it whole; None if there is none."""
    return int(Result.load(path).overlap) if path.exists() else None


@needs_fork
@pytest.mark.parametrize("exchanged", [True, False])
def test_replacing_a_result(tmp_path, monkeypatch, exchanged):
    if not exchanged:
        monkeypatch.setattr(publishing, "exchange", lambda one, other: False)
    folder, one, two = tmp_path / "f", version(1), version(2)
    states, steps = at_every_step(
        lambda: two.save(folder / "out", overwrite=True),
        folder,
        lambda: one.save(folder / "out"),
        lambda: stored(folder / "out"),
    )
    assert states == {1, 2} and steps > 8


@needs_fork
def test_a_result_is_found_before_the_next_run_too(tmp_path, monkeypatch):
    """Where two names cannot be exchanged at once, loading gives the old folder its name back."""
    monkeypatch.setattr(publishing, "exchange", lambda one, other: False)
    one, two, missing = version(1), version(2), 0
    folder = tmp_path / "f"
    for step in range(1, 100):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        one.save(folder / "out")
        killed = killed_at(step, lambda: two.save(folder / "out", overwrite=True), folder)
        missing += not (folder / "out").exists()
        assert varreg.load(folder / "out").overlap in (1, 2)
        if not killed:
            break
    assert missing == 1  # the step this is about


@needs_fork
def test_a_new_result(tmp_path):
    folder, one = tmp_path / "f", version(1)
    states, steps = at_every_step(
        lambda: one.save(folder / "out"), folder, lambda: None, lambda: stored(folder / "out")
    )
    assert states == {None, 1} and steps > 8


@needs_fork
@pytest.mark.parametrize("replaced", [False, True])
def test_two_files_that_belong_together(tmp_path, replaced):
    """ANTs' warp and matrix: never one without the other, never of two runs."""
    folder, grid = tmp_path / "f", varreg.Grid.with_spacing((8, 8))

    def write(number):
        affine = np.array([[1.0, 0, number], [0, 1, 0], [0, 0, 1]])
        transform = varreg.Transform(grid, grid, affine, np.full((2, 8, 8), float(number)))
        varreg.write_transform(transform, folder / "a_", "ants", overwrite=True)

    def read():
        files = [folder / "a_1Warp.nii.gz", folder / "a_0GenericAffine.mat"]
        if not any(file.exists() for file in files):
            return None
        shift = varreg.read_transform(files, grid, grid).points([3.0, 3.0]) - 3
        return tuple(shift.round(3).tolist())

    states, steps = at_every_step(
        lambda: write(2), folder, lambda: write(1) if replaced else None, read
    )
    assert states == {(4.0, 2.0), (2.0, 1.0) if replaced else None} and steps > 8


@needs_fork
def test_a_report(tmp_path):
    folder, page = tmp_path / "f", tmp_path / "f" / "report.html"
    image = np.add.outer(np.arange(24.0), np.arange(24.0) ** 2 / 9)
    result = varreg.solve(image.max() - image, image, iterations=2, progress=False, threads=1)
    states, steps = at_every_step(
        lambda: result.report(page, overwrite=True),
        folder,
        lambda: page.write_text("old"),
        lambda: page.read_text() if page.stat().st_size < 9 else page.read_text()[-8:].strip(),
    )
    assert states == {"old", "</html>"} and steps > 2


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    ours = tmp_path / leftovers.temporary_name(".nii")
    other_machine = tmp_path / f".varreg-{'0' * 8}-{2**30}-{'0' * 16}.nii"
    similar = tmp_path / ".varreg-notes"
    for path in (ours, other_machine, similar):
        path.write_text("")
    leftovers.tidy(tmp_path)
    assert ours.exists() and other_machine.exists() and similar.exists()


def test_what_was_left_long_ago_elsewhere_is_removed(tmp_path):
    path = tmp_path / f".varreg-{'0' * 8}-1-{'0' * 16}"
    path.mkdir()
    long_ago = time.time() - 2 * leftovers.LONGEST_RUN
    os.utime(path, (long_ago, long_ago))
    leftovers.tidy(tmp_path)
    assert not path.exists()


def test_an_error_between_two_files_leaves_both_as_they_were(tmp_path, monkeypatch):
    from varreg.io.atomic import atomic_paths

    paths = [tmp_path / "a", tmp_path / "b"]
    publish = publishing.publish

    def fails_at_the_second(temporary, target, overwrite):
        if target.name == "b":
            raise OSError(5, "no")
        publish(temporary, target, overwrite)

    monkeypatch.setattr(publishing, "publish", fails_at_the_second)
    with pytest.raises(varreg.errors.FileError), atomic_paths(paths):
        pass
    assert not list(tmp_path.iterdir())
    for path in paths:
        path.write_text("old")
    with pytest.raises(varreg.errors.FileError), atomic_paths(paths, overwrite=True) as new:
        [path.write_text("new") for path in new]
    assert [path.read_text() for path in paths] == ["old", "old"]
    assert len(list(tmp_path.iterdir())) == 2
