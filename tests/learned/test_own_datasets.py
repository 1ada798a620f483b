"""Datasets of dictionaries, as MONAI and TorchIO make them."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from learned.config import preset, with_changes
from learned.data.dict_source import DictSource, dataset_parts
from learned.data.random_fields import seeded_generator
from learned.run_folder import STEPS
from learned.train import train
from varreg.errors import InputError

SHAPE = (32, 36)
STILL = [
    f"data.{name}=0" for name in ("rotation", "scaling", "shear", "shift", "amplitude", "pose")
]


def settings(*changes):
    return with_changes(
        preset("smoke"),
        [
            "model.shape=32,36", "model.at_width=0", "model.network=descent", "model.zero_mean=false",
            "model.dt_width=2", "model.scales=1", "data.pairs_per_epoch=4", "data.validation_pairs=2",
            "data.test_pairs=0", "optimiser.affine_epochs=0", "optimiser.epochs=1",
            "optimiser.batch_size=2", "loss.consistency=0", "loss.background=0", *changes,
        ],
    )  # fmt: skip


def item(seed=0, **more):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (2, 1, *SHAPE))
    images = (0.3 * labels + 0.1).astype(np.float32)
    return {
        "moving": images[0], "fixed": torch.from_numpy(images[1]),
        "moving_label": labels[0], "fixed_label": torch.from_numpy(labels[1]), **more,
    }  # fmt: skip


class Items(Dataset):
    """Items that are made anew each time, by every generator that transforms draw from."""

    def __init__(self, start=0, **more):
        self.start, self.more = start, more

    def __len__(self):
        return 3

    def __getitem__(self, index):
        noise = random.random() + np.random.rand() + float(torch.rand(()))  # noqa: NPY002
        made = item(self.start + index, **self.more)
        return {**made, "moving": made["moving"] * (0.7 + 0.1 * noise)}


def test_a_dataset_trains_and_the_card_says_so(tmp_path):
    changes = [f"train.output={tmp_path / 'run'}", "loss.dice=1"]
    trained = train(
        settings(*changes), progress=False, tensorboard=False,
        training=Items(), validation=Items(10),
    )  # fmt: skip
    assert (
        0 < trained.validation["stage 1"]["dice"] < 1 and "tre" not in trained.validation["stage 1"]
    )
    from learned.weights import read_model

    card = read_model(trained.model)[1]
    assert card["training"]["config"]["data"]["source"] == "dataset"
    with pytest.raises(InputError, match="which requires a script"):
        train(settings(*changes, "data.source=dataset"), resume=True, progress=False)


def test_a_dataset_gives_the_same_run_again(tmp_path):
    for name in "ab":
        train(
            settings(f"train.output={tmp_path / name}"), progress=False, tensorboard=False,
            training=Items(), validation=Items(10),
        )  # fmt: skip
        np.random.rand(), random.random()  # noqa: NPY002, B018
    assert (tmp_path / "a" / STEPS).read_bytes() == (tmp_path / "b" / STEPS).read_bytes()


def test_a_pair_is_as_it_was_given_where_nothing_is_varied():
    source = DictSource([item()], settings(), "training")
    scene = source.draw(seeded_generator(0))
    assert not scene.coincide and scene.subject == "item 0" and source.has_labels
    assert torch.equal(scene.fixed, item()["fixed"][0])
    assert torch.equal(scene.labels[1], item()["fixed_label"][0].to(torch.uint8))
    parts = dataset_parts(settings(*STILL, "loss.dice=1"), [item()], [item(1)])
    pair = parts.train[0]
    assert sorted(pair.moving_labels.flatten().tolist()) == sorted(item()["moving_label"].flatten())
    assert parts.train.known == {False}


def test_images_that_coincide_have_a_known_map():
    parts = dataset_parts(settings(), [item(coincide=True)], [item(1, coincide=True)])
    assert parts.train.known == {True} and parts.validation[0].known


class Holder:
    """What TorchIO's images are: a tensor as an attribute."""

    def __init__(self, data):
        self.data = data


class Derived(torch.Tensor):
    """What MONAI's images are."""


def test_images_of_torchio_and_monai_are_taken_as_they_are():
    plain = item()
    held = {k: Holder(torch.as_tensor(v)) for k, v in plain.items()}
    derived = {k: torch.as_tensor(v).as_subclass(Derived) for k, v in plain.items()}
    for one in (held, derived):
        scene = DictSource([one], settings(), "training").draw(seeded_generator(0))
        assert type(scene.moving) is torch.Tensor
        assert torch.equal(scene.moving, torch.as_tensor(plain["moving"][0]))


def test_transforms_of_monai_follow_the_seed():
    monai = pytest.importorskip("monai")
    from monai.transforms import RandGaussianNoised

    data = monai.data.Dataset([item()], RandGaussianNoised(["moving"], prob=1.0, std=0.01))
    source = DictSource(data, settings(), "training")
    first, other, again = (source.draw(seeded_generator(k)).moving for k in (1, 2, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)


GOOD = item()


@pytest.mark.parametrize(
    "items, words",
    [
        ([], "`training` must be a dataset with a length above 0"),
        ([3], "item 0 must be a dict; got int"),
        ([{"moving": GOOD["moving"]}], "has no 'fixed'; it has 'moving'"),
        ([{k: v for k, v in GOOD.items() if k != "moving_label"}], "has no 'moving_label'"),
        ([{**GOOD, "fixed": "t1.nii"}], "'fixed' must be a tensor; got str"),
        ([{**GOOD, "fixed": GOOD["fixed"][0]}], r"'fixed' must have shape \(1, 32, 36\)"),
        ([{**GOOD, "moving": 100 * GOOD["moving"]}], r"'moving' must be in \[0, 1\]"),
        ([{**GOOD, "moving": np.nan * GOOD["moving"]}], r"'moving' must be in \[0, 1\]"),
        ([{**GOOD, "moving_label": GOOD["moving_label"] + 0.5}], "whole numbers from 0"),
        ([{**GOOD, "fixed_label": GOOD["fixed_label"] - 1}], "whole numbers from 0"),
    ],
)
def test_items_that_cannot_be_used_are_refused(items, words):
    with pytest.raises(InputError, match=words):
        dataset_parts(settings(), items, [item()])


def test_settings_that_do_not_go_with_a_dataset_are_refused():
    data = Items()
    with pytest.raises(InputError, match="must be other datasets than `training`"):
        dataset_parts(settings(), data, data)
    with pytest.raises(InputError, match="must be other datasets than `training`"):
        dataset_parts(settings(), data, None)
    coarse = settings("model.affine_scale=2", "optimiser.affine_epochs=1")
    with pytest.raises(InputError, match="affine_scale` must be 1"):
        dataset_parts(coarse, data, Items(5))
    mixed = [item(coincide=True), item(1)]
    pairs = dataset_parts(settings(), mixed, Items(5)).train
    with pytest.raises(InputError, match="'coincide' must be the same in all items"):
        [pairs[k] for k in range(4)]
