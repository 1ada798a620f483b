"""Configuration files."""

import json
import sys

import pytest

from learned.config import (
    Config,
    from_file,
    preset,
    to_json,
    with_changes,
)
from learned.config.files import FORMAT, LARGEST_FILE
from varreg.errors import FileError, InputError

needs_toml = pytest.mark.skipif(sys.version_info < (3, 11), reason="tomllib came with Python 3.11")
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
