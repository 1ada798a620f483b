"""The folder of checkpoints; a process that is killed leaves whole ones."""

import itertools
import os
import random
import signal
import time
import warnings
from pathlib import Path

import pytest
import torch

from learned.checkpoint import Position, Training, read_checkpoint
from learned.run_folder import RunFolder
from varreg.errors import FileError, InputError

from .states import CONFIG, training


def test_the_last_few_and_the_best_are_kept(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.last is None
    assert folder.best is None
    state, place = training(), tmp_path / "checkpoints"
    for step in (9, 10, 100, 1000):
        if step == 100:
            (place / ".varreg-0123456789abcdef.safetensors").write_bytes(b"left by a kill")
        path = folder.save(state, CONFIG, Position("a", step=step), is_best=step in (9, 10))
        assert folder.last == path
        assert read_checkpoint(path).position.step == step
    (place / "notes.txt").write_text("mine")
    folder.save(state, CONFIG, Position("a", step=1000, best=0.5))
    assert sorted(os.listdir(place)) == [
        "best.safetensors", "notes.txt", "step-000000000100.safetensors",
        "step-000000001000.safetensors",
    ]  # fmt: skip
    assert read_checkpoint(folder.best).position.step == 10
    assert read_checkpoint(RunFolder(tmp_path).last).position.best == 0.5


def test_a_folder_with_later_steps_is_left_alone(tmp_path):
    folder, state, place = RunFolder(tmp_path), training(), tmp_path / "checkpoints"
    folder.save(state, CONFIG, Position("a", step=200), is_best=True)
    before = {name: (place / name).read_bytes() for name in os.listdir(place)}
    with pytest.raises(
        FileError, match="contains 'step-000000000200.safetensors', later than step 3"
    ):
        folder.save(state, CONFIG, Position("a", step=3), is_best=True)
    assert {name: (place / name).read_bytes() for name in os.listdir(place)} == before


def test_what_cannot_be_written_leaves_the_old_files(tmp_path):
    folder, state = RunFolder(tmp_path), training()
    path = folder.save(state, CONFIG, Position("a", step=1), is_best=True)
    before = path.read_bytes(), folder.best.read_bytes()
    state.model[0].weight.data[0] = float("nan")
    with pytest.raises(InputError, match="is not finite"):
        folder.save(state, CONFIG, Position("a", step=2), is_best=True)
    assert (path.read_bytes(), folder.best.read_bytes()) == before
    assert folder.last == path


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")


def forked(work):
    """The id of a child process that does `work` and nothing else."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)  # the threads of the parent have not come along
            work()
        finally:
            os._exit(1)
    return child


def large():
    """A training of 1 MB, so that a write takes a while, and a way to mark its weights."""
    model = torch.nn.Linear(300, 300)
    state = Training(model, torch.optim.Adam(model.parameters()))
    model(torch.ones(1, 300)).sum().backward()
    state.optimiser.step()

    def save(folder, step):
        model.weight.data.fill_(step)
        folder.save(state, CONFIG, Position("a", step=step), is_best=True)

    return state, save


def whole_steps(folder, state):
    """The steps of the last and the best checkpoint, both of which must be whole."""
    steps = []
    for path in (folder.last, folder.best):
        found = read_checkpoint(path)
        found.restore(state)
        assert bool((state.model.weight == found.position.step).all())
        steps.append(found.position.step)
    return steps


@needs_fork
def test_a_process_killed_at_any_moment_leaves_whole_checkpoints(tmp_path):
    """Random moments; some of them must fall into a write for this to say anything."""
    folder, chance, leftovers = RunFolder(tmp_path), random.Random(0), 0
    state, save = large()
    save(folder, 1)
    last = 1

    def write_for_ever():
        for step in itertools.count(last + 1):
            save(folder, step)

    for kill in range(300):  # a busy machine needs more than the usual 15
        if kill >= 15 and leftovers >= 3 and last > 5:
            break
        child = forked(write_for_ever)
        time.sleep(chance.uniform(0.02, 0.1))
        os.kill(child, signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        leftovers += len(list((tmp_path / "checkpoints").glob(".varreg-*")))
        previous, (last, best) = last, whole_steps(folder, state)
        assert previous <= last <= best <= last + 1
    assert last > 5
    assert leftovers >= 3
    save(folder, last + 1)
    assert not list((tmp_path / "checkpoints").glob(".varreg-*"))


def half(write):
    def write_half(path, data):
        write(path, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    return write_half


def killing(function, call):
    """The function, which kills its process at the given call."""
    calls = itertools.count(1)

    def counted(*arguments, **options):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return counted


MOMENTS = {  # what is replaced, by what, and the steps that the last and the best then have
    "half written": (Path, "write_bytes", half, (1, 1)),
    "before the best is on disk": (os, "fsync", lambda f: killing(f, 1), (1, 1)),
    "before the best is renamed": (os, "replace", lambda f: killing(f, 1), (1, 1)),
    "after the best is renamed": (os, "fsync", lambda f: killing(f, 2), (1, 2)),
    "before the last is renamed": (os, "replace", lambda f: killing(f, 2), (1, 2)),
    "before the pruning": (Path, "unlink", lambda f: killing(f, 3), (2, 2)),
}


@needs_fork
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_process_killed_at_the_worst_moment_leaves_whole_checkpoints(
    tmp_path, moment, monkeypatch
):
    monkeypatch.setattr("learned.run_folder.KEPT", 1)
    owner, name, replacement, expected = MOMENTS[moment]
    folder = RunFolder(tmp_path)
    state, save = large()
    save(folder, 1)

    def work():
        setattr(owner, name, replacement(getattr(owner, name)))  # of the child alone
        save(folder, 2)

    child = forked(work)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert tuple(whole_steps(folder, state)) == expected
