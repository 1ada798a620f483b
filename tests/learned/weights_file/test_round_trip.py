"""Weights and their card come back, bit by bit."""

import json
import os

import numpy as np
import pytest
import torch

from learned.tensor_file import KEY
from learned.weights import load_weights, read_model, save_model
from varreg.errors import FileError, InputError

from .files import CARD, Small, same


def test_weights_and_card_come_back_bit_by_bit(saved):
    tensors, card = read_model(saved)
    state = Small().state_dict()
    assert card == CARD
    assert set(tensors) == set(state)
    assert all(same(tensors[name], state[name]) for name in state)
    other = Small(seed=1)
    assert not same(other.convolution.weight, state["convolution.weight"])
    load_weights(other, tensors)
    assert all(same(v, state[name]) for name, v in other.state_dict().items())
    tensors["convolution.weight"].zero_()  # the module has copies
    assert same(other.state_dict()["convolution.weight"], state["convolution.weight"])


def test_the_same_weights_give_the_same_bytes(saved, tmp_path):
    save_model(tmp_path / "again.safetensors", Small(), CARD)
    assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()


def test_other_programs_read_it_too(saved):
    from safetensors import safe_open

    with safe_open(saved, framework="np") as file:
        weight = file.get_tensor("convolution.weight")
        described = json.loads(file.metadata()[KEY])
    np.testing.assert_array_equal(weight, Small().convolution.weight.detach().numpy())
    assert described["content"] == CARD


def test_nothing_is_replaced_unasked(saved):
    before = saved.read_bytes()
    with pytest.raises(FileError, match="overwrite"):
        save_model(saved, Small(seed=1), CARD)
    assert saved.read_bytes() == before
    save_model(saved, Small(seed=1), CARD, overwrite=True)
    assert saved.read_bytes() != before
    with pytest.raises(FileError, match="does not exist"):
        save_model(saved.parent / "absent" / "w.safetensors", Small(), CARD)
    assert os.listdir(saved.parent) == [saved.name]


CYCLE: list = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    "card, message",
    [
        (None, "must have the keys architecture, training, licences"),
        ({}, "'architecture' is missing"),
        ({k: v for k, v in CARD.items() if k != "licences"}, "'licences' is missing"),
        ({**CARD, "loss": float("nan")}, "cannot be written as JSON"),
        ({**CARD, "tensor": torch.zeros(1)}, "cannot be written as JSON"),
        ({**CARD, "path": b"x"}, "cannot be written as JSON"),
        ({**CARD, "cycle": CYCLE}, "cannot be written as JSON"),
    ],
)
def test_a_card_that_says_too_little_or_is_not_json_is_refused(tmp_path, card, message):
    with pytest.raises(InputError, match=message):
        save_model(tmp_path / "w.safetensors", Small(), card)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["norm.running_var", "brief", "part"])
def test_weights_that_are_not_finite_are_refused_by_name(saved, name, value):
    module = Small()
    module.state_dict()[name][-1] = value
    with pytest.raises(InputError, match=f"'{name}' is not finite"):
        save_model(saved, module, CARD, overwrite=True)
    with pytest.raises(InputError, match=f"'{name}' is not finite"):
        load_weights(Small(), module.state_dict())
    assert read_model(saved)[1] == CARD


def test_modules_that_cannot_be_written_are_refused(tmp_path):
    with pytest.raises(InputError, match="must be a torch module; got dict"):
        save_model(tmp_path / "w.safetensors", {}, CARD)
    module = torch.nn.Linear(2, 1)
    module.register_buffer("waves", torch.zeros(2, dtype=torch.complex64))
    with pytest.raises(InputError, match="'waves' is torch.complex64, which cannot be written"):
        save_model(tmp_path / "w.safetensors", module, CARD)

    class Extra(torch.nn.Linear):
        def get_extra_state(self):
            return "anything"

    with pytest.raises(InputError, match="'_extra_state' of the model is not a tensor"):
        save_model(tmp_path / "w.safetensors", Extra(2, 1), CARD)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t.pop("norm.bias"), "'norm.bias' is missing"),
        (lambda t: t.update(more=torch.zeros(1)), "'more' is unexpected"),
        (lambda t: t.update({"norm.bias": torch.zeros(4)}), r"'norm.bias' has shape \(4,\)"),
        (lambda t: t.update({"norm.bias": torch.zeros(3).double()}), r"torch.float64.*float32"),
        (lambda t: t.update({"norm.bias": [0, 0, 0]}), "'norm.bias' is a list"),
    ],
)
def test_weights_of_another_architecture_change_nothing(saved, change, message):
    tensors, _ = read_model(saved)
    change(tensors)
    module = Small(seed=1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(InputError, match=f"do not match this Small: .*{message}"):
        load_weights(module, tensors)
    assert all(same(value, before[name]) for name, value in module.state_dict().items())
