"""Changes as text, and JSON."""

import dataclasses
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learned.config import (
    PRESETS,
    SECTIONS,
    Config,
    changed_keys,
    from_file,
    from_json,
    preset,
    to_json,
    with_changes,
)
from varreg.errors import InputError

from .configs import CHOICES, KEYS, REAL, WHOLE, value


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
        "model.shared=perhaps",
        "model.shape=64,,64",
        "model.shape=64",
        "model.scales=2;1",
        "optimiser.learning_rate=nan",
        "optimiser.learning_rate=1e-3 # comment",
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
    with pytest.raises(InputError, match=f"unknown key `{typo}`. Did you mean `{meant}`"):
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
    "model.zero_mean": st.booleans(),
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
    "data.atlas": st.none() | paths(),
    "data.licences": st.lists(paths(), unique=True, max_size=4).map(tuple),
    "data.validation_subjects": st.lists(paths(), unique=True, max_size=4).map(tuple),
    "optimiser.gradient_clipping": st.none() | st.floats(1e-12, 1e12),
    "train.output": paths(),
    "train.devices": st.sampled_from([("auto",), ("cpu",), ("cuda:0", "cuda:11"), ("mps",)]),
    "train.threads": st.none() | st.integers(1, 1024),
    "train.patience": st.none() | st.integers(1, 10**9),
}


@settings(max_examples=60)
@given(st.fixed_dictionaries({}, optional=STRATEGIES), st.sampled_from(list(PRESETS)))
def test_json_brings_every_value_back(values, start):
    # what a preset says of these may contradict the others
    values = {"model.iterations": (), "loss.mutual_information": 1.0, **values}
    base = preset(start)
    config = Config(
        **{
            name: dataclasses.replace(
                getattr(base, name),
                **{k.partition(".")[2]: v for k, v in values.items() if k.startswith(f"{name}.")},
            )
            for name in SECTIONS
        }
    )
    for key in KEYS:
        assert value(config, key) == values.get(key, value(base, key))
    assert from_json(to_json(config)) == config
    assert set(changed_keys(base, config)) <= set(values)


@pytest.mark.parametrize("name", ["null", "NULL", "~", "None"])
def test_a_folder_may_be_called_null(name):
    data = dataclasses.replace(preset("smoke").data, labels=name)
    assert data.labels == name
    assert from_json(to_json(dataclasses.replace(preset("smoke"), data=data))).data.labels == name


def document(**changes):
    return json.dumps({**json.loads(to_json(Config())), **changes})


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "must be an object"),
        (document(preset="smoke"), "no section `preset`"),
        (document(modle={}), "no section `modle`.*Did you mean `model`"),
        (document(model=[]), "must be an object with keys of `model`"),
        (document(train={"sed": 1}), "no key `train.sed`. Did you mean `train.seed`"),
        (to_json(Config()).replace('"seed": 0', '"seed": NaN'), "`train.seed` must be a whole number"),
        (to_json(Config()).replace('"seed": 0', '"seed": -1'), "`train.seed` must be a whole number"),
    ],
)  # fmt: skip
def test_json_of_another_kind_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        from_json(text)


def test_json_of_an_earlier_version_lacks_keys_that_came_later_and_names_its_format():
    config = with_changes(preset("laptop"), ["loss.mutual_information=50"])
    content = json.loads(to_json(config))
    for key in ("model.affine_scale", "loss.known_map", "train.stages_from"):
        section, _, field = key.partition(".")
        del content[section][field]
    read = from_json(json.dumps({"format": "learned configuration", "version": 1, **content}))
    changes = ["model.affine_scale=1", "loss.known_map=0"]
    assert read == with_changes(config, changes)


def test_keys_of_old_files_that_are_gone(caplog):
    content = json.loads(to_json(Config()))
    content["model"]["affine_views"], content["loss"]["deep_supervision"] = "one", 0.5
    assert from_json(json.dumps(content)) == Config()
    assert "`loss.deep_supervision` no longer exists" in caplog.text
    content["model"]["affine_views"] = "symmetric"
    with pytest.raises(InputError, match="`model.affine_views` = 'symmetric', which is no longer"):
        from_json(json.dumps(content))


def test_the_configuration_of_shipped_weights_can_be_read():
    from learned import weights

    card = weights.read(weights.find("brain-2d"))[2]
    assert from_json(json.dumps(card["training"]["config"])).data.spacing == 1


FILE = """
preset: smoke
model:
  shape: [96, 80]
optimiser:
  learning_rate: 2e-4
"""


def test_files_change_a_preset_or_the_defaults(tmp_path):
    (tmp_path / "run.yaml").write_text(FILE)
    config = from_file(tmp_path / "run.yaml")
    changes = ["model.shape=96,80", "optimiser.learning_rate=2e-4"]
    assert config == with_changes(preset("smoke"), changes)
    (tmp_path / "run.json").write_text('{"train": {"seed": 7}}')
    assert from_file(str(tmp_path / "run.json")) == with_changes(Config(), ["train.seed=7"])
    (tmp_path / "whole.json").write_text(to_json(config))
    assert from_file(tmp_path / "whole.json") == config


@pytest.mark.parametrize(
    "text, message",
    [
        ("[", "while parsing"),
        ("preset: smok", "`name` must be .*Did you mean `smoke`"),
        ("seed: 1", "unknown key `seed`. Did you mean `train.seed`"),
        ("train:\n  sede: 1", "Did you mean `train.seed`"),
        ("train:\n  seed: 1979-05-27", "`train.seed` must be a whole number"),
        ("loss:\n  gamma: .inf", "`loss.gamma` must be a number"),
        ("train:\n  output: []", "`train.output` must be a path"),
        ("train: 3", "keys of `train`; got 3"),
    ],
)
def test_wrong_files_are_refused_in_one_line(tmp_path, text, message):
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        from_file(tmp_path / "run.yaml")
    assert "\n" not in str(caught.value)


def test_paths_that_are_no_files_are_refused(tmp_path):
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(InputError, match="config"):
            from_file(path)
