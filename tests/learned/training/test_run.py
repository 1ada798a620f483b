"""A run and its folder: what it leaves, what it refuses, how it goes on."""

import math

import pytest
import torch

from learned.cascade import Cascade
from learned.checkpoint import read_checkpoint
from learned.config import Config
from learned.data.parts import make_parts
from learned.devices import reproducible
from learned.losses.mutual_information import MutualInformation
from learned.run_folder import METRICS, RESUMABLE, STEPS, RunFolder, read_lines
from learned.validation import evaluate
from learned.weights import load_weights, read_model
from varreg.errors import FileError, InputError
from varreg.options.options import Options

from .runs import CPU, assert_same_run, bits, run, tiny


def test_a_folder_with_anything_in_it_is_refused(tmp_path, whole):
    with pytest.raises(FileError, match="is not empty; resume the run in it by --resume"):
        run(tiny(whole[0]))
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="is not empty"):
        run(tiny(tmp_path))
    with pytest.raises(FileError, match="contains files but no 'config.json'"):
        run(tiny(tmp_path), resume=True)
    with pytest.raises(FileError, match="is not a folder"):
        run(tiny(tmp_path / "notes.txt"))
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_run_goes_on_only_as_what_it_was(whole):
    folder, _ = whole
    before = (folder / "config.json").read_bytes()
    for change in ("model.dt_width=2", "data.shift=0.2", "optimiser.batch_size=1", "train.seed=1"):
        with pytest.raises(
            InputError, match=f"was started with another `{change.partition('=')[0]}`"
        ):
            run(tiny(folder, change), resume=True)
    assert (folder / "config.json").read_bytes() == before


def test_every_resumable_key_exists_and_none_is_of_the_model_or_the_loss():
    for key in RESUMABLE:
        section, _, field = key.partition(".")
        assert hasattr(getattr(Config(), section), field)
        assert section not in ("model", "loss")


def test_tables_follow_the_checkpoint(tmp_path):
    folder = RunFolder(tmp_path / "run")
    folder.open(Config(), resume=False)
    for step in (1, 2, 3):
        folder.append(STEPS, {"step": step})
    folder.append(METRICS, {"part": "validation", "step": 2})
    folder.append(METRICS, {"part": "test", "step": 2})
    with open(folder.path / STEPS, "a") as stream:
        stream.write('{"step": 2, "to')
    folder.take_back(2)
    assert read_lines(folder.path / STEPS) == [{"step": 1}, {"step": 2}]
    assert folder.metrics() == [{"part": "validation", "step": 2}]
    with pytest.raises(ValueError, match="JSON"):
        folder.append(METRICS, {"step": math.nan})


def test_a_run_leaves_what_it_promises(whole):
    folder, trained = whole
    assert {entry.name for entry in folder.iterdir()} == {
        "config.json", "metrics.jsonl", "training.jsonl", "pictures", "checkpoints",
        "model.safetensors",
    }  # fmt: skip
    assert RunFolder(folder).config() == tiny(folder)
    steps = read_lines(folder / STEPS)
    assert [line["step"] for line in steps] == list(range(1, 9))
    assert [line["stage"] for line in steps] == ["affine"] * 4 + ["deformable"] * 4
    assert [line["learning_rate"] for line in steps[:2]] == [1e-3, 1e-3]
    lines = read_lines(folder / METRICS)
    assert [line["part"] for line in lines] == ["validation"] * 4 + ["test"]
    assert [list(line["figures"])[-1] for line in lines[1:3]] == ["affine", "stage 2"]
    assert len(list((folder / "pictures").iterdir())) == 4
    best = min(lines[:4], key=lambda line: list(line["figures"].values())[-1]["tre"])
    assert trained.validation == best["figures"]
    assert trained.test == lines[-1]["figures"]


def test_the_exported_weights_are_the_best_and_their_card_describes_them(whole):
    folder, trained = whole
    weights, card = read_model(trained.model)
    best = read_checkpoint(RunFolder(folder).best)
    assert all(torch.equal(best.tensors[f"model/{name}"], weights[name]) for name in weights)
    cascade = Cascade.build(**card["architecture"])
    load_weights(cascade, weights)
    config = tiny(folder)
    with reproducible(1, CPU):
        pairs = make_parts(config).validation
        table = evaluate(cascade, pairs, MutualInformation(Options()))
        assert list(table.values())[-1]["tre"] == pytest.approx(best.position.best, rel=1e-5)
    training = card["training"]
    assert training["figures"] == {"validation": trained.validation, "test": trained.test}
    assert training["config"]["train"]["output"] == folder.name
    assert training["data"][0]["source"] == "phantom"
    assert training["hours"] > 0
    assert card["licences"]


def test_a_finished_run_that_is_resumed_stays_as_it_is(whole):
    folder, trained = whole
    before = bits(folder), (folder / STEPS).read_bytes()
    assert run(tiny(folder), resume=True) == trained
    after = bits(folder), (folder / STEPS).read_bytes()
    assert after[1] == before[1]
    assert after[0][1] == before[0][1]


def test_the_settings_of_torch_come_back(tmp_path):
    torch.set_num_threads(2)
    drawn = torch.get_rng_state()
    with reproducible(1, CPU):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), drawn)
    assert not torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(1)


def test_who_prepares_the_pairs_does_not_matter(whole, tmp_path):
    run(tiny(tmp_path / "run", "data.workers=1"))
    assert_same_run(whole[0], tmp_path / "run")
