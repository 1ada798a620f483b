"""Settings of a run, and what cannot be trained."""

import pytest
import torch

from learned.run_folder import METRICS, STEPS, read_lines
from learned.weights import read_model
from varreg.errors import InputError

from .runs import bits, run, tiny


def test_a_stage_ends_when_nothing_gets_better_and_the_best_is_kept(tmp_path, monkeypatch):
    values = iter(range(100))
    monkeypatch.setattr("learned.training_run.value_of", lambda table: float(next(values)))
    folder = tmp_path / "run"
    changes = ["train.patience=2", "optimiser.affine_epochs=9", "optimiser.epochs=9"]
    trained = run(tiny(folder, *changes))
    places = [(line["stage"], line["epoch"]) for line in read_lines(folder / METRICS)[:-1]]
    assert places == [("affine", k) for k in (1, 2, 3)] + [("deformable", k) for k in (1, 2)]
    weights, card = read_model(trained.model)
    assert (card["training"]["stage"], card["training"]["epoch"]) == ("affine", 1)
    assert (weights["dt_nets.0.flow.convolution.weight"] == 0).all()


def test_without_motion_there_is_no_truth_and_mutual_information_judges(tmp_path):
    still = [f"data.{name}=0" for name in ("rotation", "scaling", "shear", "shift", "amplitude")]
    run(tiny(tmp_path / "run", *still, "optimiser.affine_epochs=1", "optimiser.epochs=0"))
    line = read_lines(tmp_path / "run" / METRICS)[0]
    assert bits(tmp_path / "run")[1].best == -line["figures"]["affine"]["mi"]


def test_half_precision_is_for_networks_and_losses_stay_whole(tmp_path):
    once = ["optimiser.affine_epochs=0", "optimiser.epochs=1", "train.precision=bfloat16"]
    run(tiny(tmp_path / "run", *once))
    weights, _ = read_model(tmp_path / "run" / "model.safetensors")
    assert {t.dtype for t in weights.values()} == {torch.float32, torch.int64}
    halves = read_lines(tmp_path / "run" / STEPS)
    run(tiny(tmp_path / "other", *once[:2]))
    wholes = read_lines(tmp_path / "other" / STEPS)
    assert halves[0]["total"] == wholes[0]["total"]  # the first prediction is 0 in any precision
    assert halves[1]["total"] == pytest.approx(wholes[1]["total"], rel=1e-2)
    assert halves[1]["total"] != wholes[1]["total"]


@pytest.mark.parametrize(
    "change, words",
    [
        ("optimiser.batch_size=6", "must be at most `data.pairs_per_epoch`, 5; got 6"),
        ("data.source=labels", "`data.labels` must be a path"),
        ("train.devices=cuda:63", "is 'cuda:63', but there are"),
        (
            "train.devices=cpu,cuda",
            "has 2 devices for one process; start the training by `torchrun",
        ),
        ("train.devices=mps", "does not support double precision"),
    ],
)
def test_what_cannot_be_trained_is_refused(change, words, tmp_path):
    with pytest.raises(InputError, match=words):
        run(tiny(tmp_path / "run", change))


def test_a_known_map_needs_motion(tmp_path):
    still = [f"data.{n}=0" for n in ("rotation", "scaling", "shear", "shift", "amplitude")]
    with pytest.raises(InputError, match="known_map` requires pairs with a known random map"):
        run(tiny(tmp_path / "run", *still, "loss.known_map=1"))


def test_a_coarse_at_net_trains_on_coarse_pairs_and_judges_on_whole_ones(tmp_path):
    coarse = ["model.shape=64,72", "model.affine_scale=2", "model.affine_passes=2"]
    trained = run(tiny(tmp_path / "run", *coarse, "loss.known_map=1"))
    assert trained.validation["affine"] != trained.validation["identity"]
    lines = read_lines(tmp_path / "run" / STEPS)
    assert all(line["known_map"] > 0 for line in lines)
