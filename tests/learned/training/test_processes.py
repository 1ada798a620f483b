"""Signals, and processes that train together."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import learned
from learned.config import with_changes
from learned.data.parts import make_parts
from learned.devices import TERMINATED, choose_device, heed_signals, make_fabric
from learned.step import Batches, loaded, steps_of_epoch
from varreg.errors import InputError

from .runs import CPU, tiny


def test_the_first_signal_waits_and_the_second_does_not():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with heed_signals() as interruption:
        signal.raise_signal(signal.SIGTERM)
        assert interruption.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt, match="second"):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit) as caught:
            interruption.end("")
        assert caught.value.code == TERMINATED == 143
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


PREPARING = """
from learned.devices import ignore_interrupts
ignore_interrupts()
print("ready", flush=True)
print("still there after", input())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_leave_those_alone_who_prepare_data(number):
    """A scheduler terminates the whole group; the checkpoint is still to be written."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    home = Path(learned.__file__).parents[1]  # where the package is found
    process = subprocess.Popen([sys.executable, "-c", PREPARING], cwd=home, **pipes)
    try:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        said, _ = process.communicate("the signal\n", timeout=60)
        assert said == "still there after the signal\n"
    finally:
        process.kill()
        process.wait()


def test_a_gpu_is_the_default_where_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device() == choose_device("auto") == choose_device("cpu") == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device().type == "cuda"
    assert choose_device("cuda:1").index == 1
    assert choose_device("cpu") == CPU


@pytest.mark.parametrize(
    "device, words",
    [
        ("cuda:63", "there are"),
        ("mps", "not support double precision"),
        ("gpu", "must be"),
        (3.5, "must be"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, words):
    with pytest.raises(InputError, match=f"`device`.*{words}"):
        choose_device(device)


def test_the_environment_must_be_that_of_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE must be a whole number"):
        make_fabric(tiny("x").train)


@pytest.mark.parametrize("devices", ["auto", "cuda:0", "cpu,cuda:0", "cuda:0,cuda:1,cuda:2"])
def test_as_many_devices_as_processes_and_all_of_one_kind(devices, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3 if "2" in devices else 1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="devices for 2 processes"):
        make_fabric(tiny("x", f"train.devices={devices}").train)


def test_processes_take_equal_shares_of_every_batch_of_every_epoch():
    config = with_changes(tiny("x"), ["data.pairs_per_epoch=14", "optimiser.batch_size=4"])
    pairs = make_parts(config).train
    steps = steps_of_epoch(config, pairs, 2)

    def share(rank, count):
        batches = Batches(4, steps, rank, count, first=3, last=5, start=1)
        return [batch.moving for batch in loaded(pairs, batches, 0, CPU)]

    whole = share(0, 1)
    assert len(whole) == 2 + 3  # of the first epoch's three full batches one is left out
    for all_of_it, *parts in zip(whole, share(0, 2), share(1, 2), strict=True):
        assert torch.equal(all_of_it, torch.cat(parts))
    assert torch.equal(whole[2], torch.stack([pairs[4, k].moving for k in range(4)]))
    with pytest.raises(InputError, match="multiple of their number, 3; got 4"):
        steps_of_epoch(config, pairs, 3)
