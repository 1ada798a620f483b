"""The configuration refuses what makes no sense, by key, and survives files and command lines."""

import dataclasses
import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learned.config import (
    PRESETS,
    SECTIONS,
    Config,
    DataConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
    changed_keys,
    from_file,
    from_json,
    preset,
    to_json,
    with_changes,
)
from learned.config.configuration import replaced, rules_by_key
from learned.config.files import ADDED, FORMAT, LARGEST_FILE
from varreg.errors import FileError, InputError, VarregError
from varreg.options.options import Options
from varreg.options.presets import PRESETS as ENERGIES

needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")

KEYS = {
    f"{name}.{field.name}": field
    for name, kind in SECTIONS.items()
    for field in dataclasses.fields(kind)
}
NOT_NUMBERS = [np.nan, np.inf, "1", b"1", True, np.bool_(True), None, [], [1.0], {}, object(), 1j]
NOT_TEXT = ["", "Flatten", None, 0, 1.5, True, [], ["flatten"], {}, b"flatten"]
WHOLE = {  # key: lowest and highest
    "model.at_width": (1, 1024),
    "model.affine_passes": (1, 16),
    "model.dt_width": (1, 1024),
    "data.pairs_per_epoch": (1, 10**7),
    "data.validation_pairs": (1, 10**6),
    "data.test_pairs": (0, 10**6),
    "data.workers": (0, 256),
    "optimiser.batch_size": (1, 65536),
    "optimiser.affine_epochs": (0, 10**6),
    "optimiser.epochs": (0, 10**6),
    "optimiser.warm_up": (0, 10**8),
    "train.seed": (0, 2**63 - 1),
    "train.checkpoint_every": (1, 10**8),
    "train.validation_every": (1, 10**6),
}
REAL = {
    "loss.smoothness": (0, 1e6),
    "loss.mutual_information": (1e-3, 1e6),  # with 0, another weight must be above it
    "loss.background": (0, 1e6),
    "loss.consistency": (0, 1e6),
    "loss.gamma": (0, 1),
    "loss.known_map": (0, 1e6),
    "loss.deep_supervision": (0, 1e6),
    "model.affine_scale": (1, 64),
    "data.rotation": (0, 180),
    "data.scaling": (0, 0.9),
    "data.shear": (0, 1),
    "data.shift": (0, 1),
    "data.amplitude": (0, 1),
    "data.pose": (0, 4),
    "data.intensity": (0, 2),
    "data.spacing": (0.01, 100),
    "optimiser.learning_rate": (1e-12, 10),
    "optimiser.dropout": (0, 0.9),
}
CHOICES = {
    "model.pooling": ["flatten", "global"],
    "model.affine_views": ["one", "symmetric"],
    "loss.inverse": ["fixed-point", "paper"],
    "loss.estimator": list(ENERGIES),
    "optimiser.schedule": ["constant", "cosine"],
    "train.precision": ["float32", "bfloat16"],
}
SHARES = [f"data.{source}_share" for source in ("phantom", "labels", "manifest")]
BAD = {
    **{key: [*NOT_NUMBERS, low - 1, high + 1, 1.5] for key, (low, high) in WHOLE.items()},
    **{key: [*NOT_NUMBERS, -1e-9, high * 1.01] for key, (_, high) in REAL.items()},
    **{key: [*NOT_NUMBERS, -1, 2e6] for key in SHARES},
    **{key: NOT_TEXT for key in CHOICES},
    "data.source": NOT_TEXT,
    "model.dimension": [*NOT_NUMBERS, 1, 4, 2.5],
    "model.shape": [
        (64,), (64, 64, 64), (64, 4), (64, 5000), (64, 64.5), ("64", "64"), "64,64", 64, None, (),
        (64, None), (True, 64), {64: 64}, (np.nan, 64), object(),
    ],
    "model.scales": [(1, 2), (2, 2, 1), (0,), (4, 0.5), (128, 1), "421", 4, None, ("4",), {4: 1}],
    "model.shared": [0, 1, "true", None, np.bool_(True), []],
    "data.manifest": ["", "  ", "a\0b", 3, True, b"x", []],
    "data.labels": ["", "  ", "a\0b", 3, True, b"x", []],
    "data.cache": ["", "  ", "a\0b", 3, True, b"x", []],
    "train.affine_from": ["", "  ", "a\0b", 3, True, b"x", []],
    "train.stages_from": ["", "  ", "a\0b", 3, True, b"x", []],
    "data.licences": ["a", ("a", "a"), ("",), (" ",), (1,), None, 3, {"a": 1}],
    "data.slice_axes": [(), (3,), (-1,), (2, 2), 2, "2", None, (0.5,), ("2",)],
    "data.validation_subjects": ["a", ("a", "a"), ("",), (" ",), (1,), None, 3, {"a": 1}],
    "optimiser.gradient_clipping": [v for v in NOT_NUMBERS if v is not None] + [0, -1, 1e13],
    "train.output": ["", " ", "a\0b", None, 3, []],
    "train.devices": [(), "cpu", ("gpu",), ("cpu", "cpu"), ("auto", "cpu"), ("cuda:x",), (0,), None],
    "train.threads": [v for v in NOT_NUMBERS if v is not None] + [0, -1, 1.5, 1025],
    "train.patience": [v for v in NOT_NUMBERS if v is not None] + [0, -1, 1.5, 10**10],
}  # fmt: skip


def value(config, key):
    section, _, field = key.partition(".")
    return getattr(getattr(config, section), field)


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
    model = ModelConfig(dimension=3.0, shape=np.array([32, 40, 48]), scales=[2, 1])
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
    with pytest.raises(InputError, match=r"`model.shape` must be 3 sizes, as `model.dimension`"):
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


@pytest.mark.parametrize(
    "change, expected",
    [
        ("model.scales=4,2,1", (4, 2, 1)),
        ("model.scales=(2, 1)", (2, 1)),
        ("model.scales=[2,1,]", (2, 1)),
        ("model.scales=1.5", (1.5,)),
        ("model.scales=", ()),
        ("data.slice_axes=2,0", (2, 0)),
        ("model.shape = 96, 80", (96, 80)),
        ("model.shared= TRUE ", True),
        ("optimiser.learning_rate=1e-4", 1e-4),
        ("optimiser.batch_size=4.0", 4),
        ("optimiser.gradient_clipping=None", None),
        ("optimiser.gradient_clipping=2", 2.0),
        ("train.seed=9223372036854775807", 2**63 - 1),
        ("train.patience=none", None),
        ("train.devices=cuda:0, cuda:1", ("cuda:0", "cuda:1")),
        ("data.manifest=a=b, c.json", "a=b, c.json"),
        ("data.manifest=none", None),
        ("data.validation_subjects=s1,s2", ("s1", "s2")),
        ('data.validation_subjects=["a,b", "[c]"]', ("a,b", "[c]")),
        ("data.validation_subjects=", ()),
        ("train.output= my run", " my run"),
    ],
)
def test_text_is_read_by_the_type_of_the_field(change, expected):
    got = value(with_changes(Config(), [change]), change.partition("=")[0].strip())
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    "change",
    [
        "model.at_width=wide",
        "model.at_width=1.5",
        "model.at_width=",
        "model.at_width=none",
        "model.shared=yes",
        "model.shape=64,,64",
        "model.shape=64",
        "model.scales=2;1",
        "optimiser.learning_rate=nan",
        "optimiser.learning_rate=1e-3 # comment",
        "data.validation_subjects=[a,b]",
        "data.validation_subjects=[1]",
        "train.output=",
        "train.seed=1e999",
    ],
)
def test_unreadable_text_names_key_value_and_what_is_allowed(change):
    key, _, text = change.partition("=")
    with pytest.raises(InputError, match=rf"`{key}` must be .*; got ") as caught:
        with_changes(Config(), [change])
    assert (text[:3] or "''") in str(caught.value).replace("inf", "1e9")


@pytest.mark.parametrize(
    "typo, meant",
    [
        ("model.at_widht", "model.at_width"),
        ("modle.at_width", "model.at_width"),
        ("at_width", "model.at_width"),
        ("lerning_rate", "optimiser.learning_rate"),
        ("optimizer.learning_rate", "optimiser.learning_rate"),
        ("train.batch_size", "optimiser.batch_size"),
    ],
)
def test_a_misspelt_key_suggests_the_nearest(typo, meant):
    with pytest.raises(InputError, match=f"no key `{typo}`. Did you mean `{meant}`"):
        with_changes(Config(), [f"{typo}=1"])


def test_other_wrong_changes():
    with pytest.raises(InputError, match="Known: model.dimension, .*train.patience"):
        with_changes(Config(), ["zzz=1"])
    for wrong in ("model.at_width", 3, None):
        with pytest.raises(InputError, match="must be 'section.field=value'; got"):
            with_changes(Config(), [wrong])
    with pytest.raises(InputError, match="`changes` must be a list"):
        with_changes(Config(), "model.at_width=3")
    with pytest.raises(InputError, match="`config` must be a Config; got dict"):
        with_changes({}, ["train.seed=3"])


def test_changes_are_checked_together_and_the_last_counts():
    config = with_changes(Config(), ["model.dimension=3", "model.shape=32,32,32"])
    assert config.model.shape == (32, 32, 32)
    assert with_changes(Config(), ["train.seed=1", "train.seed=2"]).train.seed == 2
    assert with_changes(config, []) == config


def paths():
    letters = st.characters(exclude_categories=("Cs",), exclude_characters="\0")
    return st.text(letters, min_size=1, max_size=20).filter(
        lambda t: t.strip() and t.strip().lower() != "none"
    )


STRATEGIES = {
    **{key: st.integers(*limits) for key, limits in WHOLE.items()},
    **{key: st.floats(*limits) for key, limits in REAL.items()},
    **{key: st.sampled_from(choices) for key, choices in CHOICES.items()},
    "model.shared": st.booleans(),
    "model.shape": st.tuples(st.integers(8, 4096), st.integers(8, 4096)),
    "model.scales": st.lists(st.floats(1, 64), unique=True, max_size=5).map(
        lambda v: tuple(sorted(v, reverse=True))
    ),
    "data.slice_axes": st.lists(st.integers(0, 2), min_size=1, unique=True).map(tuple),
    "data.manifest": st.none() | paths(),
    "data.labels": st.none() | paths(),
    "data.cache": st.none() | paths(),
    "train.affine_from": st.none() | paths(),
    "train.stages_from": st.none() | paths(),
    "data.licences": st.lists(paths(), unique=True, max_size=4).map(tuple),
    "data.validation_subjects": st.lists(paths(), unique=True, max_size=4).map(tuple),
    "optimiser.gradient_clipping": st.none() | st.floats(1e-300, 1e12),
    "train.output": paths(),
    "train.devices": st.sampled_from([("auto",), ("cpu",), ("cuda:0", "cuda:11"), ("mps",)]),
    "train.threads": st.none() | st.integers(1, 1024),
    "train.patience": st.none() | st.integers(1, 10**9),
}


def written(new):
    """A value as a person would write it on the command line."""
    if isinstance(new, tuple) and all(isinstance(v, str) for v in new):
        return json.dumps(new)
    if isinstance(new, tuple):
        return ",".join(map(repr, new))
    return new if isinstance(new, str) else repr(new)


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional=STRATEGIES), st.sampled_from(list(PRESETS)))
def test_changes_and_json_bring_every_value_back(values, start):
    config = with_changes(preset(start), [f"{key}={written(v)}" for key, v in values.items()])
    for key in KEYS:
        assert value(config, key) == values.get(key, value(preset(start), key))
    assert from_json(to_json(config)) == config
    assert set(changed_keys(preset(start), config)) <= set(values)


def document(**changes):
    return json.dumps({**json.loads(to_json(Config())), **changes})


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "must be an object"),
        ("{}", "has `format` None; only 'learned configuration'"),
        (document(format="varreg result"), "has `format` 'varreg result'"),
        (document(version=2), "has `version` 2; only 1"),
        (document(version=True), "has `version` True"),
        (document(preset="smoke"), "no place for `preset`"),
        (document(modle={}), "no place for `modle`.*Did you mean `model`"),
        (document(model=[]), "no place for `model` = "),
        (document(model={}), "lacks `model.dimension`"),
        (document(train={"sed": 1}), "no key `train.sed`. Did you mean `train.seed`"),
        (to_json(Config()).replace('"seed": 0', '"seed": 0, "seed": 1'), "'seed' is there twice"),
        (to_json(Config()).replace('"seed": 0', '"seed": NaN'), "NaN is not a number"),
        (to_json(Config()).replace('"seed": 0', '"seed": -1'), "`train.seed` must be a whole number"),
    ],
)  # fmt: skip
def test_json_of_another_kind_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        from_json(text)


def test_json_of_an_earlier_version_means_what_it_meant_then():
    content = json.loads(to_json(Config()))
    for key in ADDED:
        section, _, field = key.partition(".")
        del content[section][field]
    assert from_json(json.dumps(content)) == replaced(Config(), ADDED)
    assert set(ADDED) <= set(rules_by_key())


TOML = """
preset = "smoke"

[model]
shape = [96, 80]

[optimiser]
learning_rate = 2e-4
"""


@needs_toml
def test_files_change_a_preset_or_the_defaults(tmp_path):
    (tmp_path / "run.toml").write_text(TOML)
    config = from_file(tmp_path / "run.toml")
    changes = ["model.shape=96,80", "optimiser.learning_rate=2e-4"]
    assert config == with_changes(preset("smoke"), changes)
    (tmp_path / "run.JSON").write_text('\ufeff{"train": {"seed": 7}}', encoding="utf-8")
    assert from_file(str(tmp_path / "run.JSON")) == with_changes(Config(), ["train.seed=7"])
    (tmp_path / "whole.json").write_text(to_json(config))
    assert from_file(tmp_path / "whole.json") == config


@pytest.mark.parametrize(
    "name, text, error, message",
    [
        ("a.json", "{'a': 1}", FileError, "not valid JSON"),
        ("a.json", '{"a": {}, "a": {}}', FileError, "'a' is there twice"),
        ("a.json", "\udcff", FileError, "cannot be read"),
        ("a.json", " " * (LARGEST_FILE + 1), FileError, "bytes are more than the"),
        ("a.yaml", "", FileError, "neither in .toml nor in .json"),
        ("a.json", "[]", InputError, "must be an object of sections"),
        ("a.json", '{"version": 9}', InputError, "has `version` 9"),
        ("a.json", '{"preset": "smok"}', InputError, "`name` must be .*Did you mean `smoke`"),
    ],
)  # fmt: skip
def test_wrong_files_are_refused_by_name(tmp_path, name, text, error, message):
    refused(tmp_path / name, text, error, message)


@needs_toml
@pytest.mark.parametrize(
    "name, text, error, message",
    [
        ("a.toml", "[model\n", FileError, "not valid TOML"),
        ("a.toml", "[model]\nshared = true\nshared = true\n", FileError, "not valid TOML"),
        ("a.toml", "seed = 1\n", InputError, "no place for `seed`"),
        ("a.toml", "[train]\nsede = 1\n", InputError, "Did you mean `train.seed`"),
        ("a.toml", "[train]\nseed = 1979-05-27\n", InputError, "`train.seed` must be a whole number"),
        ("a.toml", "[loss]\ngamma = inf\n", InputError, "`loss.gamma` must be a number"),
        ("a.toml", "[train]\noutput = []\n", InputError, "`train.output` must be a path"),
    ],
)  # fmt: skip
def test_wrong_toml_is_refused_by_name(tmp_path, name, text, error, message):
    refused(tmp_path / name, text, error, message)


def refused(path, text, error, message):
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(error, match=message) as caught:
        from_file(path)
    assert path.name in str(caught.value)


def test_paths_that_are_no_files_are_refused(tmp_path):
    (tmp_path / "folder.json").mkdir()
    for path in (tmp_path / "absent.json", tmp_path / "folder.json", "a\0.json", None, 3):
        with pytest.raises(FileError, match="cannot be read"):
            from_file(path)


def test_toml_without_a_reader_asks_for_json(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tomllib", None)
    (tmp_path / "run.toml").write_text(TOML)
    with pytest.raises(FileError, match="needs Python 3.11.*write it as JSON"):
        from_file(tmp_path / "run.toml")


def test_the_format_is_named_in_the_text():
    assert json.loads(to_json(Config()))["format"] == FORMAT
