"""Stages that begin with those of another run; volumes."""

from pathlib import Path

import pytest
import torch

from learned.config import with_changes
from learned.transfer import new_cascade
from learned.weights import read_model, save_model
from varreg.errors import FileError, InputError

from .runs import images, run, tiny


def test_at_net_may_come_from_another_run(whole, tmp_path):
    given = [f"train.affine_from={whole[1].model}", "optimiser.affine_epochs=0", "train.seed=3"]
    trained = run(tiny(tmp_path / "run", *given, "model.scales=1"))
    first, second = (read_model(model)[0] for model in (whole[1].model, trained.model))
    at_net = [name for name in first if name.startswith("at_net.")]
    assert at_net
    assert all(torch.equal(first[name], second[name]) for name in at_net)
    cards = [read_model(model)[1] for model in (whole[1].model, trained.model)]
    assert cards[0]["affine_training"] is None
    assert cards[1]["affine_training"] == cards[0]["training"]


def dt_net(tensors, place):
    prefix = f"dt_nets.{place}."
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def same_tensors(first, second):
    return set(first) == set(second) and all(torch.equal(first[n], second[n]) for n in first)


def test_stages_may_begin_with_those_of_another_run(whole, tmp_path):
    config = tiny(tmp_path / "x", "model.scales=4,2,1", f"train.stages_from={whole[1].model}")
    theirs = read_model(whole[1].model)[0]  # of the scales 2 and 1
    new = new_cascade(config, torch.Generator().manual_seed(5)).state_dict()
    assert same_tensors(dt_net(new, 1), dt_net(theirs, 0))
    assert same_tensors(dt_net(new, 2), dt_net(theirs, 1))
    coarsest = new_cascade(config, torch.Generator().manual_seed(5)).dt_nets[0]
    assert float(coarsest.flow.convolution.weight.detach().abs().max()) == 0
    finest = with_changes(config, ["model.scales=1", "model.shared=true"])
    shared = new_cascade(finest, torch.Generator().manual_seed(5)).state_dict()
    assert same_tensors(dt_net(shared, 0), dt_net(theirs, 1))


def test_a_stage_that_begins_anew_leaves_the_map_as_it_was(tmp_path):
    """So more scales begin where fewer ended."""
    theirs, file = new_cascade(tiny("x"), torch.Generator()), tmp_path / "x.safetensors"
    with torch.no_grad():
        for net in theirs.dt_nets:
            net.flow.convolution.weight.normal_(0, 0.1, generator=torch.Generator().manual_seed(1))
    architecture = {"scales": [2, 1], "shared": False}
    save_model(file, theirs, {"architecture": architecture, "training": {}, "licences": []})
    two, three = (
        tiny("x", f"model.scales={n}", f"train.stages_from={file}", f"train.affine_from={file}")
        for n in ("2,1", "4,2,1")
    )
    moving, fixed = images(2, (32, 36))
    with torch.no_grad():
        first, second = (
            new_cascade(config, torch.Generator().manual_seed(seed)).eval()(moving, fixed)
            for seed, config in enumerate((two, three))
        )
    assert float(first.displacement.abs().max()) > 0
    assert torch.allclose(first.total, second.total, atol=1e-5)


def test_the_card_says_what_the_stages_began_with(whole, tmp_path):
    models = [whole[1].model]
    for name in ("second", "third"):
        given = [f"train.stages_from={models[-1]}", "optimiser.epochs=1"]
        models.append(run(tiny(tmp_path / name, *given)).model)
    cards = [read_model(model)[1] for model in models]
    assert cards[0]["stages_training"] == []
    assert cards[2]["stages_training"] == [cards[0]["training"], cards[1]["training"]]
    assert cards[1]["training"]["config"]["train"]["stages_from"] == Path(whole[1].model).name


def test_stages_of_another_width_are_refused(whole, tmp_path):
    given = [f"train.stages_from={whole[1].model}", "model.dt_width=2"]
    with pytest.raises(InputError, match="stages_from.*do not match.*dt_width"):
        run(tiny(tmp_path / "run", *given))


def test_an_at_net_of_another_size_is_refused(whole, tmp_path):
    given = [f"train.affine_from={whole[1].model}", "model.at_width=2"]
    with pytest.raises(InputError, match="affine_from.*does not match.*at_width"):
        run(tiny(tmp_path / "run", *given))


def test_nothing_to_train_is_an_error(tmp_path):
    with pytest.raises(InputError, match="there is nothing to train"):
        run(tiny(tmp_path / "run", "optimiser.affine_epochs=0", "optimiser.epochs=0"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        ["train.stages_from=absent"],
        ["train.affine_from=absent"],
        ["data.source=manifest", "data.manifest=absent"],
        ["data.source=labels"],
    ],
)
def test_what_is_refused_leaves_no_folder(tmp_path, wrong):
    """The corrected command would otherwise be refused for it."""
    config = tiny(tmp_path / "run", *wrong)
    with pytest.raises((InputError, FileError)):
        run(config)
    assert not (tmp_path / "run").exists()


def test_volumes_train_too(tmp_path):
    shape = ["model.dimension=3", "model.shape=32,32,32", "model.scales=2", "data.test_pairs=0"]
    few = ["data.pairs_per_epoch=1", "data.validation_pairs=1", "optimiser.batch_size=1"]
    once = ["optimiser.affine_epochs=1", "optimiser.epochs=1"]
    trained = run(tiny(tmp_path / "run", *shape, *few, *once))
    assert list(trained.validation)[0] == "identity"
    assert trained.test is None
