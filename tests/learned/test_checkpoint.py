"""A training that is stopped and goes on is, bit by bit, the one that was never stopped."""

import itertools
import os
import random
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from learned.checkpoint import FORMAT, VERSION, read_checkpoint, save_checkpoint
from learned.checkpoint_folder import CheckpointFolder
from learned.config import Config, with_changes
from learned.position import Position
from learned.tensor_file import read_tensors, to_bytes
from learned.training_state import Training
from varreg.errors import FileError, InputError, VarregError

CONFIG = with_changes(Config(), ["train.seed=3", "optimiser.learning_rate=0.1"])
POSITION = Position("deformable", epoch=2, step=30, best=-0.1, waited=1)
SCHEDULERS = {
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
    "warm-up": lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda n: min(1.0, (n + 1) / 3)),
    "both": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o,
        [
            torch.optim.lr_scheduler.LinearLR(o, 0.1, total_iters=4),
            torch.optim.lr_scheduler.CosineAnnealingLR(o, 10),
        ],
        [4],
    ),
    "constant": lambda o: None,
}
OPTIMISERS = {
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.02),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True, betas=(0.8, 0.99)),
    "groups": lambda p: torch.optim.Adam(
        [{"params": p[:2], "lr": 0.02}, {"params": p[2:]}], lr=0.1
    ),
}


def network(seed, width=4):
    generator = torch.Generator().manual_seed(seed)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, width, 3, padding=1),
        torch.nn.BatchNorm2d(width),
        torch.nn.LeakyReLU(0.3),
        torch.nn.Dropout(0.3),
        torch.nn.Conv2d(width, 1, 3, padding=1),
    )
    for parameter in model.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=generator)
    return model


def training(seed=0, optimiser="Adam", scheduler="cosine", width=4):
    """Objects as new; `seed` is different in the process that goes on."""
    model = network(seed, width)
    adam = OPTIMISERS[optimiser](list(model.parameters()))
    torch.manual_seed(seed)
    generators = {
        "data": torch.Generator().manual_seed(seed),
        "splits": np.random.default_rng(seed),
    }
    return Training(model, adam, SCHEDULERS[scheduler](adam), generators)


def advance(state, steps):
    """Some steps of training; dropout draws from the global generator."""
    losses = []
    state.model.train()
    for _ in range(steps):
        images = torch.rand(3, 1, 8, 7, generator=state.generators["data"])
        target = float(state.generators["splits"].random())
        loss = (state.model(images) - target).square().mean()
        state.optimiser.zero_grad()
        loss.backward()
        state.optimiser.step()
        if state.scheduler is not None:
            state.scheduler.step()
        losses.append(loss.item())
    return losses


def everything(state):
    """All of the state, in a form that compares bit by bit."""

    def bits(value):
        if isinstance(value, torch.Tensor):
            flat = value.detach().contiguous().reshape(-1).view(torch.uint8)
            return str(value.dtype), tuple(value.shape), bytes(flat.tolist())
        if isinstance(value, dict):
            return {key: bits(entry) for key, entry in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(bits(entry) for entry in value)
        return type(value), value.hex() if isinstance(value, float) else value

    return bits(
        {
            "model": dict(state.model.state_dict()),
            "optimiser": state.optimiser.state_dict(),
            "scheduler": None if state.scheduler is None else state.scheduler.state_dict(),
            "data": state.generators["data"].get_state(),
            "splits": state.generators["splits"].bit_generator.state,
            "global": torch.get_rng_state(),
        }
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture
def saved(path):
    state = training()
    advance(state, 3)
    save_checkpoint(path, state, CONFIG, POSITION)
    return path


@pytest.mark.parametrize(
    "optimiser, scheduler",
    [("Adam", name) for name in SCHEDULERS]
    + [(name, "both") for name in OPTIMISERS if name != "Adam"],
)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_going_on_is_as_never_having_stopped(path, optimiser, scheduler, steps):
    whole = training(0, optimiser, scheduler)
    advance(whole, steps)
    save_checkpoint(path, whole, CONFIG, POSITION)
    stored = everything(whole)
    losses = advance(whole, 4)

    second = training(1, optimiser, scheduler)
    advance(second, 2)
    assert everything(second) != stored
    read_checkpoint(path).restore(second, CONFIG)
    assert everything(second) == stored
    assert advance(second, 4) == losses
    assert everything(second) == everything(whole)


def test_config_and_position_come_back(saved):
    found = read_checkpoint(str(saved))
    assert (found.config, found.position, found.path) == (CONFIG, POSITION, saved)
    for position in (
        Position("affine"),
        Position("é", 0, 10**12 - 1, float("inf")),
        Position("", best=np.float32(0.1)),
        Position("a", best=5e-324),
    ):
        save_checkpoint(saved, training(), Config(), position)
        assert read_checkpoint(saved).position == position
        assert read_checkpoint(saved).config == Config()


@pytest.mark.parametrize(
    "wrong",
    [
        {"stage": 3}, {"epoch": -1}, {"step": 1.0}, {"step": True}, {"step": 10**12}, {"waited": None},
        {"best": float("nan")}, {"best": "0.1"}, {"best": 1j},
    ],
)  # fmt: skip
def test_a_position_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError, match="learned.Position: "):
        Position(**{"stage": "affine", **wrong})


def test_a_checkpoint_serves_twice(saved):
    """What training does to the objects does not reach the checkpoint that was read."""
    found = read_checkpoint(saved)
    first, second = training(1), training(2)
    found.restore(first)
    stored = everything(first)
    advance(first, 2)
    found.restore(second)
    assert everything(second) == stored


def test_the_same_state_gives_the_same_bytes(saved):
    before = saved.read_bytes()
    state = training(5)
    read_checkpoint(saved).restore(state)
    save_checkpoint(saved, state, CONFIG, POSITION)
    assert saved.read_bytes() == before


def test_frozen_parameters_have_no_moments_and_need_none(path):
    def frozen(seed):
        state = training(seed)
        state.model[0].requires_grad_(False)
        return state

    whole, second = frozen(0), frozen(1)
    advance(whole, 2)
    save_checkpoint(path, whole, CONFIG, POSITION)
    losses = advance(whole, 3)
    read_checkpoint(path).restore(second)
    assert advance(second, 3) == losses
    assert everything(second) == everything(whole)


@pytest.mark.parametrize("eighths", range(8))
def test_a_truncated_file_is_refused(saved, eighths):
    data = saved.read_bytes()
    saved.write_bytes(data[: len(data) * eighths // 8])
    with pytest.raises(FileError, match="checkpoint.safetensors' is not a usable learned checkp"):
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


def forged(path, change):
    """A file with other content and a right checksum, as only an enemy would write it."""
    tensors, content = read_tensors(path, FORMAT, VERSION, "test")
    change(tensors, content)
    path.write_bytes(to_bytes(tensors, FORMAT, VERSION, content, "test"))


def entry(content, *keys):
    """The pair [key, value] in an encoded dictionary."""
    part, *rest = keys
    value = content[part]
    for key in rest:
        pair = next(pair for pair in value[1] if pair[0] == key)
        value = pair[1]
    return pair


def set_entry(*keys, to):
    def change(tensors, content):
        entry(content, *keys)[1] = to

    return change


def set_group(key, to):
    def change(tensors, content):
        group = entry(content, "optimiser", "param_groups")[1][1][0]
        entry({"group": group}, "group", key)[1] = to

    return change


def set_content(key, to):
    return lambda tensors, content: content.update({key: to})


def set_tensor(name, to):
    return lambda tensors, content: tensors.update({name: to})


def without_moment(tensors, content):
    moments = entry(content, "optimiser", "state", 0)[1]
    moments[1] = [pair for pair in moments[1] if pair[0] != "exp_avg"]
    del tensors["optimiser/state/0/exp_avg"]


UNREADABLE = [
    (lambda t, c: c.pop("position"), "'position'"),
    (lambda t, c: c.pop("config"), "'config'"),
    (set_content("config", "{}"), "has `format` None"),
    (set_content("config", 3), "the configuration"),
    (set_content("position", ["dict", [["stage", "a"], ["speed", 3]]]), "speed"),
    (set_content("position", ["dict", [["stage", "a"], ["step", -3]]]), "learned.Position"),
    (set_content("position", 0.5), "0.5 stands where"),
    (set_content("position", ["tuple"]), "is damaged"),
    (set_content("position", [] * 3), "is damaged"),
    (set_content("torch", 3), "`torch` is no text"),
]
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


@pytest.mark.parametrize(
    "change, message", UNREADABLE, ids=lambda v: v if isinstance(v, str) else ""
)
def test_forged_descriptions_are_refused(saved, change, message):
    forged(saved, change)
    with pytest.raises(FileError, match=message) as caught:
        read_checkpoint(saved)
    assert repr(str(saved)) in str(caught.value)


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
    for data, message in ((b"", "ends after 0 bytes"), (b"PK\3\4" * 99, "claims a header")):
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


def test_the_last_few_and_the_best_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path / "run" / "checkpoints", keep=2)
    assert folder.last is None
    assert folder.best is None
    state = training()
    for step in (9, 10, 100, 1000):
        if step == 100:
            (folder.folder / ".varreg-0123456789abcdef.safetensors").write_bytes(b"left by a kill")
        path = folder.save(state, CONFIG, Position("a", step=step), is_best=step in (9, 10))
        assert folder.last == path
        assert read_checkpoint(path).position.step == step
    (folder.folder / "notes.txt").write_text("mine")
    assert sorted(os.listdir(folder.folder)) == [
        "best.safetensors", "notes.txt", "step-000000000100.safetensors",
        "step-000000001000.safetensors",
    ]  # fmt: skip
    assert read_checkpoint(folder.best).position.step == 10
    again = CheckpointFolder(folder.folder)
    assert again.last == path
    again.save(state, CONFIG, Position("a", step=1000, best=0.5))
    assert read_checkpoint(again.last).position.best == 0.5


def test_a_folder_with_later_steps_is_left_alone(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=1)
    state = training()
    folder.save(state, CONFIG, Position("a", step=200), is_best=True)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(FileError, match="holds 'step-000000000200.safetensors', later than step 3"):
        folder.save(state, CONFIG, Position("a", step=3), is_best=True)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


@pytest.mark.parametrize("keep", [0, -1, 1.5, True, None])
def test_at_least_one_is_kept(tmp_path, keep):
    with pytest.raises(InputError, match="`keep` must be a whole number >= 1"):
        CheckpointFolder(tmp_path, keep)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file' cannot be made"):
        CheckpointFolder(tmp_path / "file")


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
    folder, chance, leftovers = CheckpointFolder(tmp_path), random.Random(0), 0
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
        leftovers += len(list(tmp_path.glob(".varreg-*")))
        previous, (last, best) = last, whole_steps(folder, state)
        assert previous <= last <= best <= last + 1
    assert last > 5
    assert leftovers >= 3
    save(folder, last + 1)
    assert not list(tmp_path.glob(".varreg-*"))


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
def test_a_process_killed_at_the_worst_moment_leaves_whole_checkpoints(tmp_path, moment):
    owner, name, replacement, expected = MOMENTS[moment]
    folder = CheckpointFolder(tmp_path, keep=1)
    state, save = large()
    save(folder, 1)

    def work():
        setattr(owner, name, replacement(getattr(owner, name)))  # of the child alone
        save(folder, 2)

    child = forked(work)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert tuple(whole_steps(folder, state)) == expected
