"""Configurations as text: files that a person writes, and JSON that keeps every key."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from pathlib import Path
from typing import Any

from varreg.errors import FileError, InputError

from ..messages import meant, shown
from ..regular_file import regular_file
from ..strict_json import parse_json
from .configuration import SECTIONS, Config, replaced, rule_of, rules_by_key
from .presets import preset

FORMAT, VERSION = "learned configuration", 1
#: Bytes; no configuration is nearly as long.
LARGEST_FILE = 1 << 20
#: Keys that came later than the format, and what was the case before they did.
ADDED: dict[str, Any] = {
    "model.affine_scale": 1.0,
    "model.affine_passes": 1,
    "model.affine_views": "one",
    "loss.known_map": 0.0,
    "train.affine_from": None,
    "train.stages_from": None,
}


def from_file(path: str | os.PathLike[str]) -> Config:
    """Read a configuration from a ``.toml`` or ``.json`` file.

    Parameters
    ----------
    path : str or PathLike
        Sections ``model``, ``loss``, ``data``, ``optimiser`` and ``train``; what is left out keeps
        the value of the top-level ``preset``, if there is one, or else the default.

    Returns
    -------
    Config

    Raises
    ------
    FileError
        If the file cannot be read; TOML needs Python 3.11.
    InputError
        If it has unknown keys or values that are not allowed; the message names file and key.
    """
    text, suffix = _text(path)
    where = f"learned.from_file: {os.fspath(path)!r}"
    try:
        content = parse_json(text) if suffix == ".json" else _toml().loads(text)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{where} is not valid {suffix[1:].upper()} ({error}).") from error
    except ImportError as error:
        raise FileError(f"{where} needs Python 3.11 to be read; write it as JSON.") from error
    return _configured(content, where, complete=False)


def to_json(config: Config) -> str:
    """Write a configuration as JSON that :func:`from_json` reads back without loss.

    Examples
    --------
    >>> from_json(to_json(Config())) == Config()
    True
    """
    return json.dumps(
        {"format": FORMAT, "version": VERSION, **dataclasses.asdict(config)}, indent=2
    )


def from_json(text: str) -> Config:
    """Read what :func:`to_json` wrote, or an earlier version of it: every key is there, and no other.

    What an earlier version did not have yet (:data:`ADDED`) is as it was then.

    Raises
    ------
    InputError
        If it is not JSON, of another format or version, or a key is missing, unknown or not allowed.
    """
    where = "learned.from_json: the configuration"
    try:
        content = parse_json(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON ({error}).") from error
    return _configured(content, where, complete=True)


def _text(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The text of a configuration file, and its suffix."""
    try:
        suffix = Path(os.fsdecode(path)).suffix.lower()
        if suffix not in (".toml", ".json"):
            raise ValueError("its name ends neither in .toml nor in .json")
        return regular_file(path, LARGEST_FILE).read_text(encoding="utf-8-sig"), suffix
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"learned.from_file: {path!r} cannot be read ({error}).") from error


def _toml() -> Any:
    return importlib.import_module("tomllib")


def _configured(content: Any, where: str, *, complete: bool) -> Config:
    """The configuration that nested mappings describe; `complete` ones name every key."""
    if not isinstance(content, dict):
        raise InputError(f"{where} must be an object of sections; got {shown(content)}.")
    content = dict(content)
    for key, known in (("format", FORMAT), ("version", VERSION)):
        value = content.pop(key, None if complete else known)
        if value != known or isinstance(value, bool):
            raise InputError(f"{where} has `{key}` {shown(value)}; only {known!r} can be read.")
    start = content.pop("preset", None) if not complete else None
    values = {}
    for section, fields in content.items():
        if section not in SECTIONS or not isinstance(fields, dict):
            raise InputError(
                f"{where} has no place for `{section}` = {shown(fields)}; its sections are "
                f"{', '.join(SECTIONS)}.{meant(section, SECTIONS)}"
            )
        values.update({f"{section}.{name}": value for name, value in fields.items()})
    for key in values:
        rule_of(key, where)
    if complete:
        values = ADDED | values
        missing = [key for key in rules_by_key() if key not in values]
        if missing:
            raise InputError(f"{where} lacks `{missing[0]}`.")
    try:
        return replaced(Config() if start is None else preset(start), values)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
