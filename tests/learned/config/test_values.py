"""Values of a configuration: what each key takes, what contradicts what, presets."""

import dataclasses
import re

import numpy as np
import pytest

from learned.config import (
    PRESETS,
    SECTIONS,
    Config,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
    changed_keys,
    preset,
    with_changes,
)
from varreg.errors import InputError, VarregError
from varreg.options.options import Options

from .configs import CHOICES, KEYS, REAL, WHOLE, value

NOT_NUMBERS = [np.nan, np.inf, "one", True, np.bool_(True), None, [], [1.0], {}, ..., 1j]
NOT_TEXT = ["", "Flatten", None, 0, 1.5, True, [], ["flatten"], {}, b"flatten"]
SHARES = [f"data.{source}_share" for source in ("phantom", "labels", "manifest")]
BAD = {
    **{key: [*NOT_NUMBERS, low - 1, high + 1, 1.5] for key, (low, high) in WHOLE.items()},
    **{key: [*NOT_NUMBERS, -1e-9, high * 1.01] for key, (_, high) in REAL.items()},
    **{key: [*NOT_NUMBERS, -1, 2e6] for key in SHARES},
    **{key: NOT_TEXT for key in CHOICES},
    "data.source": NOT_TEXT,
    "model.dimension": [*NOT_NUMBERS, 1, 4, 2.5],
    "model.shape": [
        (64,), (64, 64, 64), (64, 4), (64, 5000), (64, 64.5), "64,64", 64, None, (),
        (64, None), (True, 64), {64: 64}, (np.nan, 64), ...,
    ],
    "model.scales": [(1, 2), (2, 2, 1), (0,), (4, 0.5), (128, 1), "421", 4, None, ("a",), {4: 1}],
    "model.shared": [0, 1, "perhaps", None, []],
    "model.zero_mean": [0, 1, "perhaps", None, []],
    "model.iterations": [(1, 2), (0, 1, 1), (17, 1, 1), 3, None, ("a", 1, 1), (1.5, 1, 1)],
    "data.manifest": ["", "  ", "a\0b", 3, True, b"x", []],
    "data.labels": ["", "  ", "a\0b", 3, True, b"x", []],
    "data.atlas": ["", "  ", 3, True, b"x", []],
    "data.cache": ["", "  ", "a\0b", 3, True, b"x", []],
    "train.affine_from": ["", "  ", "a\0b", 3, True, b"x", []],
    "train.stages_from": ["", "  ", "a\0b", 3, True, b"x", []],
    "data.licences": ["a", ("a", "a"), ("",), (" ",), (1,), None, 3, {"a": 1}],
    "data.slice_axes": [(), (3,), (-1,), (2, 2), 2, "2", None, (0.5,)],
    "data.validation_subjects": ["a", ("a", "a"), ("",), (" ",), (1,), None, 3, {"a": 1}],
    "optimiser.gradient_clipping": [v for v in NOT_NUMBERS if v is not None] + [0, -1, 1e13],
    "train.output": ["", " ", "a\0b", None, 3, []],
    "train.devices": [(), "cpu", ("gpu",), ("cpu", "cpu"), ("auto", "cpu"), ("cuda:x",), (0,), None],
    "train.threads": [v for v in NOT_NUMBERS if v is not None] + [0, -1, 1.5, 1025],
    "train.patience": [v for v in NOT_NUMBERS if v is not None] + [0, -1, 1.5, 10**10],
}  # fmt: skip


def made(key, new):
    """A section with one field set."""
    section, _, field = key.partition(".")
    return SECTIONS[section](**{field: new})


def test_every_key_is_tested():
    assert set(BAD) == set(KEYS)


@pytest.mark.parametrize(
    "key, bad", [(k, v) for k, values in BAD.items() for v in values], ids=lambda v: repr(v)[:30]
)
def test_a_bad_value_is_refused_by_key(key, bad):
    with pytest.raises(InputError, match=rf"`{re.escape(key)}` must be .*; got ") as caught:
        made(key, bad)
    assert isinstance(caught.value, VarregError)


@pytest.mark.parametrize("key, limits", (WHOLE | REAL).items(), ids=str)
def test_both_ends_of_a_range_are_allowed_and_become_plain(key, limits):
    kind = int if key in WHOLE else float
    for limit in (*limits, np.float64(limits[0]), np.int64(limits[1])):
        got = getattr(made(key, limit), key.partition(".")[2])
        assert type(got) is kind
        assert got == kind(limit)


def test_lists_and_arrays_become_tuples():
    model = ModelConfig(dimension=3, shape=np.array([32, 40, 48]), scales=[2, 1])
    assert model.shape == (32, 40, 48)
    assert model.scales == (2, 1)
    assert model.dimension == 3
    assert {type(n) for n in (*model.shape, model.dimension)} == {int}
    assert {type(n) for n in model.scales} == {float}
    assert TrainConfig(devices=["cuda:0", "cuda:1"]).devices == ("cuda:0", "cuda:1")
    assert hash(model) == hash(ModelConfig(dimension=3, shape=(32, 40, 48), scales=(2.0, 1.0)))


def test_frozen_and_composed_of_the_right_sections():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.at_width = 3
    with pytest.raises(InputError, match=r"`Config\(model=...\)` must be a ModelConfig; got dict"):
        Config(model={"at_width": 3})
    assert Config(optimiser=OptimiserConfig(epochs=1)) != Config()
    assert len({Config(), Config()}) == 1


def test_fields_that_contradict_each_other_are_refused():
    with pytest.raises(
        InputError, match=r"`model.shape` must be 3 sizes, according to `model.dimension`"
    ):
        ModelConfig(dimension=3)
    with pytest.raises(InputError, match=r"`loss.mutual_information` must be above 0"):
        with_changes(
            Config(), [f"loss.{n}=0" for n in dataclasses.asdict(Config().loss) if n in
                       ("smoothness", "mutual_information", "background", "consistency")]
        )  # fmt: skip
    with pytest.raises(InputError, match=r"`data.labels_share` must be 0 unless"):
        DataConfig(labels_share=0.5)
    with pytest.raises(InputError, match=r"`data.phantom_share` must be above 0"):
        DataConfig(source="mixed")


def test_shares_sum_to_one_and_ask_for_the_paths_they_need():
    mixed = {"source": "mixed", "phantom_share": 1, "labels_share": 2, "manifest_share": 5}
    shares = DataConfig(**mixed, labels="l", manifest="m").shares()
    assert shares == {"phantom": 0.125, "labels": 0.25, "manifest": 0.625}
    assert DataConfig().shares() == {"phantom": 1.0}
    for missing, given_path in (("labels", "manifest"), ("manifest", "labels")):
        with pytest.raises(InputError, match=rf"`data.{missing}` must be a path"):
            DataConfig(**mixed, **{given_path: "x"}).shares()
        with pytest.raises(InputError, match=rf"`data.{missing}` must be a path"):
            DataConfig(source=missing).shares()


@pytest.mark.parametrize("name", PRESETS)
def test_presets_hold_what_they_say(name):
    config = preset(name)
    for key in KEYS:
        assert value(config, key) == PRESETS[name].get(key, value(Config(), key)), key
    assert set(changed_keys(Config(), config)) <= set(PRESETS[name]) <= set(KEYS)
    assert Options.preset(config.loss.estimator).similarity in ("mi", "regional-mi")


def test_the_papers_table_and_weights():
    paper = preset("paper")
    assert (paper.optimiser.learning_rate, paper.optimiser.batch_size) == (1e-3, 8)
    assert (paper.optimiser.epochs, paper.optimiser.schedule) == (300, "constant")
    assert (paper.model.shape, paper.model.scales) == ((224, 224), (4, 2, 1))
    assert (paper.model.at_width, paper.model.dt_width) == (16, 32)
    data, loss = paper.data, paper.loss
    assert (data.pairs_per_epoch, data.validation_pairs, data.test_pairs) == (320, 32, 32)
    assert (loss.smoothness, loss.mutual_information) == (1, 50)
    assert (loss.background, loss.consistency) == (100, 100)


@pytest.mark.parametrize("name", ["Paper", "", None, 3, ["paper"], {}])
def test_an_unknown_preset_lists_the_known(name):
    with pytest.raises(InputError, match="`name` must be one of 'smoke', 'laptop', 'paper'"):
        preset(name)
