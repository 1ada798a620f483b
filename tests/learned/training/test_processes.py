"""Signals, and processes that train together."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import learned
from learned.batches import Batches
from learned.blocks import Dropout
from learned.config import with_changes
from learned.data.parts import make_parts
from learned.distributed import Processes, choose_device, processes
from learned.interruption import TERMINATED, heed_signals
from learned.shared_layers import SharedDropout, SharedNormalisation
from varreg.errors import InputError

from .runs import ALONE, CPU, tiny


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
from learned.interruption import ignore_interrupts
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


def test_a_process_takes_the_device_of_its_local_rank():
    assert choose_device(["cpu"], local=3, count=4) == CPU
    if not torch.cuda.is_available():
        assert choose_device(["auto"], local=1, count=2) == CPU


def test_the_environment_must_be_that_of_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(InputError, match="WORLD_SIZE must be a whole number"), processes(["cpu"]):
        pass


def test_processes_take_equal_shares_of_every_batch():
    config = with_changes(tiny("x"), ["data.pairs_per_epoch=14", "optimiser.batch_size=4"])
    pairs = make_parts(config).train
    whole = [batch.moving for batch in Batches(config, pairs, ALONE).of_epoch(3, 1)]
    shares = [
        [batch.moving for batch in Batches(config, pairs, Processes(k, 2, CPU)).of_epoch(3, 1)]
        for k in range(2)
    ]
    assert len(whole) == 2  # of three full batches the first is left out
    for all_of_it, *parts in zip(whole, *shares, strict=True):
        assert torch.equal(all_of_it, torch.cat(parts))
    with pytest.raises(InputError, match="3 must divide it; got 4"):
        Batches(config, pairs, Processes(0, 3, CPU))


def test_shared_masks_are_the_parts_of_the_mask_of_one_process():
    values = torch.ones(4, 3, 5, 5)
    whole = Dropout(0.4, torch.Generator().manual_seed(1))(values)
    parts = [
        SharedDropout(0.4, torch.Generator().manual_seed(1), Processes(k, 2, CPU))(values[:2])
        for k in range(2)
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert 0 < (whole == 0).float().mean() < 1


@pytest.mark.parametrize("d", [2, 3])
def test_shared_normalisation_of_one_process_is_batch_normalisation(d):
    generator = torch.Generator().manual_seed(d)
    plain = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[d](3)
    with torch.no_grad():
        plain.weight.uniform_(0.5, 2, generator=generator)
        plain.bias.uniform_(-1, 1, generator=generator)
    other = SharedNormalisation({2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[d](3), 1)
    other.load_state_dict(plain.state_dict())
    values = 5 + torch.randn(2, 3, *(4, 5, 3)[:d], generator=generator)
    torch.distributed.init_process_group(
        "gloo", store=torch.distributed.HashStore(), rank=0, world_size=1
    )
    try:
        results = []
        for layer in (plain, other):
            given = values.clone().requires_grad_(True)
            out = layer(given)
            (out * torch.linspace(0, 1, out.numel()).reshape(out.shape)).sum().backward()
            results.append((out, given.grad, layer.weight.grad, layer.bias.grad))
    finally:
        torch.distributed.destroy_process_group()
    for mine, wanted in zip(results[1], results[0], strict=True):
        torch.testing.assert_close(mine, wanted, rtol=1e-4, atol=1e-5)
    for name, buffer in plain.named_buffers():
        torch.testing.assert_close(dict(other.named_buffers())[name], buffer)
    torch.testing.assert_close(plain.eval()(values), other.eval()(values))
