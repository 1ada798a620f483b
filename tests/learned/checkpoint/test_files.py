"""Going on from a checkpoint is as never having stopped; what is damaged or does not fit is refused."""

import numpy as np
import pytest
import torch

from learned.checkpoint import (
    FORMAT,
    VERSION,
    Position,
    Training,
    means_of,
    read_checkpoint,
    serialised,
)
from learned.config import Config, with_changes
from learned.tensor_file import to_bytes
from varreg.errors import FileError, InputError

from .states import CONFIG, POSITION, advance, everything, forged, training, write


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture
def saved(path):
    state = training()
    advance(state, 3)
    return write(path, state)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_going_on_is_as_never_having_stopped(path, steps):
    whole = training(0)
    advance(whole, steps)
    write(path, whole)
    stored = everything(whole)
    losses = advance(whole, 4, steps)

    second = training(1)
    advance(second, 2)
    second = Training(second.model, torch.optim.Adam(second.model.parameters()), second.state)
    assert everything(second) != stored
    read_checkpoint(path).restore(second, CONFIG)
    second.optimiser.param_groups[0]["lr"] = 0.1  # follows from the place in a training
    assert everything(second) == stored
    assert advance(second, 4, steps) == losses
    assert everything(second) == everything(whole)


def test_config_and_position_come_back(saved):
    found = read_checkpoint(str(saved))
    assert (found.config, found.position, found.path) == (CONFIG, POSITION, saved)
    for position in (
        Position("affine"),
        Position("é", 0, 10**12 - 1, -1e300),
        Position("", best=np.float32(0.1)),
        Position("a", best=5e-324),
    ):
        write(saved, training(), position, Config())
        assert read_checkpoint(saved).position == position
        assert read_checkpoint(saved).config == Config()


@pytest.mark.parametrize(
    "wrong",
    [
        {"stage": 3}, {"epoch": -1}, {"step": 1.0}, {"step": True}, {"step": 10**12}, {"waited": None},
        {"best": float("nan")}, {"best": float("inf")}, {"best": "0.1"}, {"best": 1j},
    ],
)  # fmt: skip
def test_a_position_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError, match="learned.Position: "):
        Position(**{"stage": "affine", **wrong})


def test_a_checkpoint_serves_twice_and_the_same_state_gives_the_same_bytes(saved):
    """What training does to the objects does not reach the checkpoint that was read."""
    found, before = read_checkpoint(saved), saved.read_bytes()
    first, second = training(1), training(2)
    found.restore(first)
    assert serialised(first, CONFIG, POSITION) == before
    advance(first, 2)
    found.restore(second)
    assert serialised(second, CONFIG, POSITION) == before


def test_frozen_parameters_have_no_moments_and_need_none(path):
    def frozen(seed):
        state = training(seed)
        state.model[0].requires_grad_(False)
        return state

    whole, second = frozen(0), frozen(1)
    advance(whole, 2)
    write(path, whole)
    losses = advance(whole, 3, 2)
    read_checkpoint(path).restore(second)
    assert advance(second, 3, 2) == losses
    assert everything(second) == everything(whole)


def test_moments_get_the_layout_of_their_parameters(saved):
    """Another layout would be added up by other instructions, whose last bits may differ."""
    state = training()
    read_checkpoint(saved).restore(state)
    weight = state.model[3].weight
    assert state.optimiser.state[weight]["exp_avg"].stride() == weight.stride()
    assert weight.stride() != weight.contiguous().stride()


# --- damage and forgery -------------------------------------------------------------------------


@pytest.mark.parametrize("eighths", range(8))
def test_a_truncated_file_is_refused(saved, eighths):
    data = saved.read_bytes()
    saved.write_bytes(data[: len(data) * eighths // 8])
    with pytest.raises(FileError, match="checkpoint.safetensors' is not a valid learned checkp"):
        read_checkpoint(saved)


def test_flipped_bytes_are_found(saved):
    """In the header, whose JSON holds numbers that would look right, and in the tensors."""
    data = saved.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    assert end < len(data)
    places = [*range(0, 8), *range(8, end, 37), *range(end, len(data), 997), len(data) - 1]
    for place in places:
        if data[place : place + 1] == b" ":
            continue  # pads the header
        damaged = bytearray(data)
        damaged[place] ^= 1
        saved.write_bytes(damaged)
        with pytest.raises(FileError, match="checkpoint.safetensors"):
            read_checkpoint(saved)


def set_content(key, to):
    return lambda tensors, content: content.update({key: to})


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t, c: c.pop("position"), "'position'"),
        (lambda t, c: c.pop("config"), "'config'"),
        (set_content("config", "[]"), "must be an object"),
        (set_content("config", 3), "the configuration"),
        (set_content("position", {"stage": "a", "speed": 3}), "speed"),
        (set_content("position", {"stage": "a", "step": -3}), "learned.Position"),
        (set_content("position", 0.5), "is damaged"),
    ],
)
def test_forged_descriptions_are_refused(saved, change, message):
    forged(saved, change)
    with pytest.raises(FileError, match=message) as caught:
        read_checkpoint(saved)
    assert repr(str(saved)) in str(caught.value)


def set_tensor(name, to):
    return lambda tensors, content: tensors.update({name: to})


@pytest.mark.parametrize(
    "change, message",
    [
        (set_tensor("more", torch.zeros(1)), "'more' is unexpected"),
        (set_tensor("model/more", torch.zeros(1)), "'model/more' is unexpected"),
        (
            set_tensor("optimiser/9.bias/step", torch.zeros(())),
            "'optimiser/9.bias/step' is unexpected",
        ),
        (lambda t, c: t.pop("model/3.bias"), "'model/3.bias' is missing"),
        (set_tensor("model/3.bias", torch.zeros(2)), r"'model/3.bias' has shape \(2,\)"),
        (set_tensor("model/3.bias", torch.zeros(1).double()), "'model/3.bias' has .*float64"),
        (lambda t, c: t.pop("optimiser/0.weight/exp_avg"), "0.weight/exp_avg' is missing"),
        (set_tensor("optimiser/0.weight/exp_avg", torch.zeros(3)), "0.weight/exp_avg' has shape"),
        (set_tensor("optimiser/0.weight/step", torch.zeros(2)), "0.weight/step' has shape"),
        (lambda t, c: t.pop("state/pool"), "'state/pool' is missing"),
        (set_tensor("state/ages", torch.zeros(3)), "'state/ages' has shape"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(saved, change, message):
    forged(saved, change)
    state = training(1)
    advance(state, 1)
    before = everything(state)
    with pytest.raises(FileError, match=f"cannot be used.*{message}") as caught:
        read_checkpoint(saved).restore(state, CONFIG)
    assert repr(str(saved)) in str(caught.value)
    assert everything(state) == before


def test_another_architecture_or_stage_is_refused(saved):
    for other in (training(1, width=5), training(1, pool=2)):
        before = everything(other)
        with pytest.raises(FileError, match="architecture or stage is different: .* has shape"):
            read_checkpoint(saved).restore(other)
        assert everything(other) == before
    state = training(1)
    last = torch.optim.Adam(state.model[3].parameters(), lr=0.1)
    with pytest.raises(FileError, match="'optimiser/0.bias/exp_avg' is unexpected"):
        read_checkpoint(saved).restore(Training(state.model, last, state.state))
    changed = with_changes(CONFIG, ["model.dt_width=8", "model.shared=true", "train.seed=9"])
    with pytest.raises(FileError, match="model.dt_width, model.shared differ"):
        read_checkpoint(saved).restore(training(1), changed)
    read_checkpoint(saved).restore(training(1), with_changes(CONFIG, ["optimiser.epochs=9"]))


def test_a_state_that_is_not_finite_is_not_written():
    broken, diverged = training(), training()
    broken.model[0].weight.data[0] = float("nan")
    advance(diverged, 1)
    diverged.optimiser.state[diverged.model[3].bias]["exp_avg_sq"].fill_(float("inf"))
    for state, name in ((broken, "model/0.weight"), (diverged, "optimiser/3.bias/exp_avg_sq")):
        with pytest.raises(InputError, match=f"'{name}' is not finite; nothing is written"):
            serialised(state, CONFIG, POSITION)


def test_another_torch_is_mentioned(saved, caplog):
    read_checkpoint(saved).restore(training())
    assert not caplog.records
    forged(saved, set_content("torch", "1.0"))
    read_checkpoint(saved).restore(training())
    assert "was written by PyTorch 1.0" in caplog.text


def test_other_files_are_refused(tmp_path):
    for data, message in ((b"", "header too small"), (b"PK\3\4" * 99, "header too large")):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(FileError, match=message):
            read_checkpoint(tmp_path / "x")
    with pytest.raises(FileError, match="cannot be read"):
        read_checkpoint(tmp_path / "absent")
    (tmp_path / "x").write_bytes(to_bytes({}, "learned model", 1, {}, "test"))
    with pytest.raises(FileError, match="do not describe a learned checkpoint"):
        read_checkpoint(tmp_path / "x")
    (tmp_path / "x").write_bytes(to_bytes({}, FORMAT, VERSION - 1, {}, "test"))
    with pytest.raises(FileError, match="version is 1; only 2"):
        read_checkpoint(tmp_path / "x")


def test_running_means_of_the_weights():
    """A step takes 1 - decay of the weights; they stand in for the weights and go back."""
    state = training()
    means = means_of(state.model, 0.75)
    state = Training(state.model, state.optimiser, means)
    start = state.model[0].weight.detach().clone()
    with torch.no_grad():
        state.model[0].weight.add_(1.0)
    state.average(0.75)
    torch.testing.assert_close(means["mean/0.weight"], start + 0.25)
    before = everything(state)
    with state.averaged():
        torch.testing.assert_close(state.model[0].weight.detach(), start + 0.25)
    assert everything(state) == before
