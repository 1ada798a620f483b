"""What does not fit is refused, and changes nothing."""

import os

import numpy as np
import pytest
import torch

from learned.checkpoint import FORMAT, VERSION, read_checkpoint, save_checkpoint
from learned.config import with_changes
from learned.tensor_file import to_bytes
from learned.training_state import Training
from varreg.errors import FileError, InputError, VarregError

from .states import (
    CONFIG,
    POSITION,
    SCHEDULERS,
    advance,
    entry,
    everything,
    forged,
    set_content,
    training,
)


def set_entry(*keys, to):
    def change(tensors, content):
        entry(content, *keys)[1] = to

    return change


def set_group(key, to):
    def change(tensors, content):
        group = entry(content, "optimiser", "param_groups")[1][1][0]
        entry({"group": group}, "group", key)[1] = to

    return change


def set_tensor(name, to):
    return lambda tensors, content: tensors.update({name: to})


def without_moment(tensors, content):
    moments = entry(content, "optimiser", "state", 0)[1]
    moments[1] = [pair for pair in moments[1] if pair[0] != "exp_avg"]
    del tensors["optimiser/state/0/exp_avg"]


UNFIT = [
    (lambda t, c: c.pop("scheduler"), "'scheduler'"),
    (set_content("scheduler", None), "scheduler is None instead of"),
    (set_content("scheduler", ["pickle", "x"]), "'pickle' is no kind of value"),
    (set_content("scheduler", ["float", "one"]), "ValueError"),
    (set_content("scheduler", {"class": "x"}), "stands where a checkpoint has none"),
    (set_content("generators", ["dict", []]), "the tensor 'generators/data' belongs to nothing"),
    (set_content("global", ["dict", []]), "the tensor 'global/cpu' belongs to nothing"),
    (set_entry("scheduler", "class", to="StepLR"), "'StepLR' instead of 'CosineAnnealingLR'"),
    (set_entry("scheduler", "state", "last_epoch", to="3"), "scheduler/state/last_epoch is '3'"),
    (set_entry("scheduler", "state", "last_epoch", to=["float", "nan"]), "last_epoch is nan"),
    (set_entry("scheduler", "state", "base_lrs", to=["list", []]), "base_lrs has 0 entries"),
    (set_entry("scheduler", "state", "base_lrs", to=["tuple", []]), r"base_lrs is \(\) instead"),
    (set_entry("generators", "splits", "bit_generator", to="MT19937"), "'MT19937' instead of"),
    (set_entry("generators", "splits", "has_uint32", to=10**40), "does not fit"),
    (set_entry("optimiser", "class", to="AdamW"), "optimiser/class is 'AdamW' instead of 'Adam'"),
    (set_entry("optimiser", "class", to=None), "optimiser/class is None"),
    (set_group("lr", ["float", "inf"]), "param_groups/0/lr is inf"),
    (set_group("lr", True), "param_groups/0/lr is True"),
    (set_group("betas", ["tuple", [0, 0, 0]]), "betas has 3 entries instead of 2"),
    (set_group("amsgrad", True), "amsgrad is True instead of False"),
    (set_group("params", ["list", [0, 1, 2, 3, 4, 9]]), "numbered in another way"),
    (set_group("params", ["list", [0, 0, 0, 0, 0, 0]]), "numbered in another way"),
    (set_tensor("more", torch.zeros(1)), "the tensor 'more' belongs to nothing"),
    (set_tensor("model/more", torch.zeros(1)), "'more' is one too many"),
    (lambda t, c: t.pop("model/4.bias"), "'4.bias' is missing"),
    (set_tensor("model/4.bias", torch.zeros(2)), r"'4.bias' has shape \(2,\)"),
    (set_tensor("model/4.bias", torch.zeros(1).double()), "'4.bias' has .*float64"),
    (lambda t, c: t.pop("optimiser/state/0/exp_avg"), "'optimiser/state/0/exp_avg'"),
    (without_moment, "the moments of '0.weight' are step, exp_avg_sq"),
    (set_tensor("optimiser/state/0/exp_avg", torch.zeros(3)), "of '0.weight', 'exp_avg' has shape"),
    (set_tensor("optimiser/state/0/step", torch.zeros(2)), "of '0.weight', 'step' has shape"),
    (set_tensor("optimiser/state/0/step", torch.tensor(3)), "of '0.weight', 'step' has shape"),
    (lambda t, c: entry(c, "optimiser", "state", 0).__setitem__(0, 77), "numbered in another way"),
    (lambda t, c: entry(c, "optimiser", "state", 1).__setitem__(1, 3), "does not fit"),
    (set_tensor("generators/data", torch.zeros(8, dtype=torch.uint8)), "generators/data has shape"),
    (set_tensor("global/cpu", torch.zeros(5056)), "global/cpu has shape"),
    (set_entry("global", "cuda", to=["list", [3]]), "global/cuda are no tensors"),
]


@pytest.mark.parametrize("change, message", UNFIT, ids=lambda v: v if isinstance(v, str) else "")
def test_what_does_not_fit_is_refused_and_changes_nothing(saved, change, message):
    forged(saved, change)
    state = training(1)
    advance(state, 1)
    before = everything(state)
    with pytest.raises(FileError, match=message) as caught:
        read_checkpoint(saved).restore(state, CONFIG)
    assert repr(str(saved)) in str(caught.value)
    assert everything(state) == before


@pytest.mark.parametrize(
    "other, message",
    [
        ({"width": 5}, r"another architecture: '0.bias' has shape \(4,\)"),
        ({"optimiser": "AdamW"}, "optimiser/class is 'Adam' instead of 'AdamW'"),
        ({"optimiser": "groups"}, "optimiser/parameters has 1 entries instead of 2"),
        ({"optimiser": "amsgrad"}, "amsgrad is False instead of True"),
        ({"scheduler": "constant"}, r"param_groups/0 has not the same entries \(initial_lr\)"),
        ({"scheduler": "both"}, "scheduler/class is 'CosineAnnealingLR' instead of 'SequentialLR'"),
    ],
)
def test_other_objects_are_left_as_they_are(saved, other, message):
    state = training(1, **other)
    before = everything(state)
    with pytest.raises(FileError, match=f"does not fit: .*{message}"):
        read_checkpoint(saved).restore(state)
    assert everything(state) == before


def test_another_stage_or_set_of_generators_is_refused(saved):
    state = training(1)
    last = torch.optim.Adam(state.model[4].parameters(), lr=0.1)
    stage = Training(state.model, last, SCHEDULERS["cosine"](last), state.generators)
    with pytest.raises(FileError, match="optimiser/parameters/0 has 6 entries instead of 2"):
        read_checkpoint(saved).restore(stage)
    for generators in ({}, {"data": state.generators["data"], "other": torch.Generator()}):
        fewer = Training(state.model, state.optimiser, state.scheduler, generators)
        with pytest.raises(FileError, match="generators has not the same entries"):
            read_checkpoint(saved).restore(fewer)
    swapped = {"data": np.random.default_rng(0), "splits": torch.Generator()}
    with pytest.raises(FileError, match="generators/data is tensor"):
        read_checkpoint(saved).restore(
            Training(state.model, state.optimiser, state.scheduler, swapped)
        )


def test_another_model_section_is_refused_and_other_sections_may_change(saved):
    changed = with_changes(CONFIG, ["model.dt_width=8", "model.shared=true", "train.seed=9"])
    with pytest.raises(FileError, match=r"architecture \(model.dt_width, model.shared differ\)"):
        read_checkpoint(saved).restore(training(1), changed)
    read_checkpoint(saved).restore(training(1), with_changes(CONFIG, ["optimiser.epochs=9"]))


def test_what_cannot_be_written_leaves_the_old_file(saved):
    before = saved.read_bytes()
    state, other = training(), torch.nn.Linear(2, 1)
    broken = training()
    broken.model[0].weight.data[0] = float("nan")
    diverged = training()
    advance(diverged, 1)
    diverged.optimiser.state[diverged.model[4].bias]["exp_avg_sq"].fill_(float("inf"))
    strange = training()
    strange.scheduler.callback = np.ones(3)
    refused = [
        (
            lambda: save_checkpoint(saved, broken, CONFIG, POSITION),
            "'model/0.weight' is not finite",
        ),
        (
            lambda: save_checkpoint(saved, diverged, CONFIG, POSITION),
            "'optimiser/state/5/exp_avg_sq' is not finite",
        ),
        (
            lambda: save_checkpoint(saved, strange, CONFIG, POSITION),
            "scheduler/state/callback is a",
        ),
        (
            lambda: save_checkpoint(saved, state, {}, POSITION),
            "`config` must be a Config; got dict",
        ),
        (lambda: save_checkpoint(saved, state, CONFIG, None), "`position` must be a Position"),
        (lambda: save_checkpoint(saved, None, CONFIG, POSITION), "`training` must be a Training"),
        (
            lambda: save_checkpoint(
                saved,
                Training(other, torch.optim.SGD(other.parameters(), lr=1)),
                CONFIG,
                POSITION,
            ),
            "must be Adam or AdamW; got SGD",
        ),
        (
            lambda: save_checkpoint(saved, Training(other, state.optimiser), CONFIG, POSITION),
            "parameters that are not the model's",
        ),
        (
            lambda: save_checkpoint(
                saved, Training(state.model, state.optimiser, None, {"r": 3}), CONFIG, POSITION
            ),
            "generator 'r' must be torch's or numpy's; got int",
        ),
        (
            lambda: save_checkpoint(
                saved,
                Training(
                    state.model,
                    state.optimiser,
                    None,
                    {"r": np.random.Generator(np.random.MT19937(0))},
                ),
                CONFIG,
                POSITION,
            ),
            "generators/r/state/key is a ndarray, which a checkpoint cannot hold",
        ),
    ]
    for call, message in refused:
        with pytest.raises(InputError, match=message) as caught:
            call()
        assert isinstance(caught.value, VarregError)
        assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]
    with pytest.raises(InputError, match="`training` must be a Training"):
        read_checkpoint(saved).restore(state.model)


def test_names_that_would_fall_together_are_refused(path):
    state = training()
    generator = torch.Generator()
    state.scheduler.twice = {1: torch.zeros(1), "1": torch.ones(1)}
    with pytest.raises(InputError, match="two entries named 'scheduler/state/twice/1'"):
        save_checkpoint(path, state, CONFIG, POSITION)
    slashes = Training(state.model, state.optimiser, None, {"a/b": generator})
    save_checkpoint(path, slashes, CONFIG, POSITION)
    read_checkpoint(path).restore(slashes)


def test_another_torch_is_mentioned(saved, caplog):
    read_checkpoint(saved).restore(training())
    assert not caplog.records
    forged(saved, set_content("torch", "1.0"))
    read_checkpoint(saved).restore(training())
    assert "was written with torch 1.0" in caplog.text


def test_other_files_are_refused(tmp_path):
    for data, message in ((b"", "header too small"), (b"PK\3\4" * 99, "header too large")):
        (tmp_path / "x").write_bytes(data)
        with pytest.raises(FileError, match=message):
            read_checkpoint(tmp_path / "x")
    with pytest.raises(FileError, match="cannot be read"):
        read_checkpoint(tmp_path / "absent")
    (tmp_path / "x").write_bytes(to_bytes({}, "learned model", 1, {}, "test"))
    with pytest.raises(FileError, match="does not say that it is a learned checkpoint"):
        read_checkpoint(tmp_path / "x")
    (tmp_path / "x").write_bytes(to_bytes({}, FORMAT, VERSION + 1, {}, "test"))
    with pytest.raises(FileError, match="version is 2; only 1"):
        read_checkpoint(tmp_path / "x")
