"""Crashes, signals and losses that are not finite."""

import math
import signal
from pathlib import Path

import pytest
import torch

from learned.checkpoint import read_checkpoint
from learned.data.parts import make_parts
from learned.run_folder import RunFolder
from learned.stages import AffineLoss, DeformableLoss
from learned.weights import read_model
from varreg.errors import DivergenceError

from .runs import assert_same_run, bits, run, tiny


class Crash(BaseException):
    """Nothing may catch it: the process is gone."""


def crash_at_write(monkeypatch, number):
    """The process dies just before a checkpoint, the best one or another, reaches the disk."""
    from learned import run_folder

    write, count = run_folder.atomic_path, iter(range(10**6))

    def crashing(path, **options):
        if Path(path).parent.name == "checkpoints" and next(count) == number:
            raise Crash
        return write(path, **options)

    monkeypatch.setattr(run_folder, "atomic_path", crashing)


WRITES = range(1, 12)  # the whole run has at least as many


@pytest.mark.parametrize(
    "number", [n if n == 6 else pytest.param(n, marks=pytest.mark.slow) for n in WRITES]
)
def test_a_crash_at_any_checkpoint_leaves_no_trace(number, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        crash_at_write(patch, number)
        try:
            run(tiny(tmp_path / "run"))
        except Crash:
            pass
        else:
            assert number > 8
    run(tiny(tmp_path / "run"), resume=True)
    assert_same_run(whole[0], tmp_path / "run")


def patched_loss(monkeypatch, kind, number, action):
    """Do something to the losses of one step of a stage."""
    forward, count = kind.forward, iter(range(10**6))

    def patched(self, *batch):
        losses = forward(self, *batch)
        return action(losses) if next(count) == number else losses

    monkeypatch.setattr(kind, "forward", patched)


@pytest.mark.parametrize(
    "kind, number", [pytest.param(AffineLoss, 0, marks=pytest.mark.slow), (DeformableLoss, 2)]
)
def test_ctrl_c_writes_a_checkpoint_and_says_how_to_go_on(
    kind, number, whole, tmp_path, monkeypatch
):
    def interrupt(losses):
        signal.raise_signal(signal.SIGINT)
        return losses

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patched_loss(patch, kind, number, interrupt)
        with pytest.raises(KeyboardInterrupt, match=r"resume by: .* --output .*run --resume"):
            run(tiny(folder))
    assert bits(folder)[1].step == number + (1 if kind is AffineLoss else 5)
    run(tiny(folder), resume=True)
    assert_same_run(whole[0], folder)


def not_a_number(losses):
    return losses._replace(total=losses.total * math.nan)


def infinite_slope(losses):
    zero = 0 * losses.total
    return losses._replace(total=losses.total + zero.abs().sqrt())


@pytest.mark.parametrize("action", [not_a_number, infinite_slope])
def test_a_loss_that_is_not_finite_names_place_and_subjects(action, tmp_path, monkeypatch):
    folder = tmp_path / "run"
    patched_loss(monkeypatch, DeformableLoss, 3, action)
    with pytest.raises(DivergenceError) as caught:
        run(tiny(folder))
    words = str(caught.value)
    batch = [make_parts(tiny(folder)).train[3, k].subject for k in (2, 3)]
    assert f"stage 'deformable', epoch 2, step 8, with the subjects {', '.join(batch)}." in words
    assert "The last checkpoint is unaffected" in words
    tensors, position = bits(folder)
    assert position.step == 6
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


class Remembering(AffineLoss):
    """A loss with a state of its own: the last images, which the next step sees too."""

    def __init__(self, cascade, config):
        super().__init__(cascade, config)
        self.register_buffer("pool", torch.zeros(2, 1, 32, 36))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, moving, fixed, known=None):
        mixed = 0.5 * (moving + self.pool)
        losses = super().forward(mixed, fixed, known)
        self.pool.copy_(moving)
        self.seen.add_(1)
        return losses


def test_the_buffers_of_a_loss_are_state_of_the_training(tmp_path, monkeypatch):
    monkeypatch.setattr("learned.stages.AffineLoss", Remembering)
    changes = ["optimiser.epochs=0", "optimiser.affine_epochs=4"]
    run(tiny(tmp_path / "whole", *changes))
    with monkeypatch.context() as patch:
        crash_at_write(patch, 4)
        with pytest.raises(Crash):
            run(tiny(tmp_path / "parts", *changes))
    assert 0 < int(bits(tmp_path / "parts")[0]["state/seen"]) < 8
    run(tiny(tmp_path / "parts", *changes), resume=True)
    assert int(bits(tmp_path / "parts")[0]["state/seen"]) == 8
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def test_the_running_mean_of_the_weights_is_judged_and_kept(tmp_path, monkeypatch):
    changes = ["optimiser.averaging=0.6", "optimiser.affine_epochs=3", "optimiser.epochs=1"]
    trained = run(tiny(tmp_path / "whole", *changes))
    best = read_checkpoint(RunFolder(tmp_path / "whole").best)
    kept = read_model(trained.model)[0]
    means = {n: t for n, t in best.tensors.items() if n.startswith("state/mean/")}
    assert means
    for name, mean in means.items():
        weight = name.removeprefix("state/mean/")
        assert torch.equal(kept[weight], mean)
    moved = [n for n, m in means.items() if not torch.equal(m, best.tensors["model/" + n[11:]])]
    assert moved
    with monkeypatch.context() as patch:
        crash_at_write(patch, 6)
        with pytest.raises(Crash):
            run(tiny(tmp_path / "parts", *changes))
    run(tiny(tmp_path / "parts", *changes), resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
