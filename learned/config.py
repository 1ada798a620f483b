"""Configuration of a training: presets, changes by strings and files, and JSON.

Keys have the form ``section.field``, e.g. ``optimiser.learning_rate``, in files, on the command line and
in messages.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Iterable
from typing import Any

from jsonargparse import Namespace

from varreg.errors import InputError

from .arguments import from_arguments
from .fields import meant, shown
from .sections import (
    SECTIONS,
    Config,
    DataConfig,
    LossConfig,
    ModelConfig,
    OptimiserConfig,
    TrainConfig,
    flat,
    keys,
)

__all__ = [
    "PRESETS", "SECTIONS", "Config", "DataConfig", "LossConfig", "ModelConfig", "OptimiserConfig",
    "TrainConfig", "changed_keys", "from_file", "from_json", "keys", "preset", "to_json",
    "with_changes",
]  # fmt: skip


#: Values in which each preset differs from the defaults.
PRESETS: dict[str, dict[str, Any]] = {
    # one minute on two cores: checks that everything works; the network is not useful
    "smoke": {
        "model.shape": (64, 64),
        "model.at_width": 4,
        "model.dt_width": 4,
        "model.scales": (2, 1),
        "loss.estimator": "default",
        "data.pairs_per_epoch": 64,
        "data.validation_pairs": 4,
        "data.test_pairs": 4,
        "optimiser.batch_size": 4,
        "optimiser.affine_epochs": 3,
        "optimiser.epochs": 6,
        "train.checkpoint_every": 16,
        "train.threads": 1,
        "train.devices": ("cpu",),
    },
    # Slices of 112 x 112 voxels of 2 mm on one core.  One descent network is shared by all scales, so that every
    # pair trains it ten times, mostly with a quarter or a sixteenth of the voxels.  Its input includes the gradient
    # of mutual information, which reduces training from hours to minutes; the loss is therefore the distance to the
    # known map alone.  There is no AT-Net, since coarse passes estimate rotation and translation as well.
    "laptop": {
        "model.shape": (112, 112),
        "model.at_width": 0,
        "model.dt_width": 16,
        "model.network": "descent",
        "model.shared": True,
        "model.scales": (4, 2, 1),
        "model.iterations": (3, 3, 4),
        "model.views": "alternating",
        "model.zero_mean": False,
        "loss.estimator": "default",
        "loss.smoothness": 0.0,
        "loss.mutual_information": 0.0,
        "loss.background": 0.0,
        "loss.consistency": 0.0,
        "loss.known_map": 1.0,
        "data.spacing": 2.0,
        "data.slice_axes": (0, 1, 2),
        "data.rotation": 15.0,
        "data.scaling": 0.12,
        "data.shear": 0.06,
        "data.shift": 0.08,
        "data.amplitude": 0.08,
        "data.pairs_per_epoch": 2000,
        "optimiser.batch_size": 4,
        "optimiser.affine_epochs": 0,
        "optimiser.epochs": 14,
        "optimiser.schedule": "cosine",
        "optimiser.warm_up": 100,
        "optimiser.gradient_clipping": 1.0,
        "train.threads": 1,
        "train.checkpoint_every": 500,
    },
    # Table 1 of the paper; it does not state the epochs of AT-Net, and the parent paper's code has at most 100
    "paper": {"data.source": "manifest", "data.intensity": 0.0},
}  # fmt: skip


def preset(name: str) -> Config:
    """Configuration of a preset.

    Parameters
    ----------
    name : {"smoke", "laptop", "paper"}
        "smoke": one minute on the phantom; "laptop": half an hour on one core, for slices of 112 x 112 voxels
        of 2 mm (7,000 steps of 0.2 s); "paper": the paper's Table 1, which also requires ``data.manifest``.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If the preset does not exist.

    Examples
    --------
    >>> preset("paper").optimiser.epochs
    300
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(
            f"learned.preset: `name` must be one of {', '.join(map(repr, PRESETS))}; got "
            f"{name!r}.{meant(name, PRESETS)}"
        )
    return _replaced(Config(), PRESETS[name])


def with_changes(config: Config, changes: Iterable[str]) -> Config:
    """A copy with fields changed by ``section.field=value`` strings, validated together.

    Parameters
    ----------
    config : Config
        Configuration to change.
    changes : iterable of str
        As on the command line without the dashes, with values such as ``null``, ``true``, ``1e-4``,
        ``4,2,1``; of several changes of one key the last is used.

    Raises
    ------
    InputError
        If a key is unknown (the nearest is suggested) or a value is invalid.

    Examples
    --------
    >>> with_changes(Config(), ["model.scales=2,1", "optimiser.learning_rate=1e-4"]).model.scales
    (2.0, 1.0)
    """
    if not isinstance(config, Config):
        raise InputError(f"learned: `config` must be a Config; got {type(config).__name__}.")
    if isinstance(changes, str):
        raise InputError(
            f"learned.with_changes: `changes` must be a list of strings; got {changes!r}."
        )
    changes = list(changes)
    for change in changes:
        if not isinstance(change, str) or not re.match(r"[^=]+=", change):
            raise InputError(
                f"learned.with_changes: a change must be 'section.field=value'; got {change!r}."
            )
    return from_arguments([f"--{change}" for change in changes], lambda _: config)[0]


def from_file(path: str | os.PathLike[str]) -> Config:
    """Read a configuration from a YAML or JSON file.

    Parameters
    ----------
    path : str or PathLike
        File with the sections ``model``, ``loss``, ...; missing keys have the values of the top-level
        ``preset``, or the defaults.

    Raises
    ------
    InputError
        If the file cannot be read, or has unknown keys or invalid values.
    """
    return from_arguments(["--config", os.fspath(path)], _named)[0]


def changed_keys(before: Config, after: Config) -> list[str]:
    """Keys in which two configurations differ.

    Examples
    --------
    >>> changed_keys(Config(), with_changes(Config(), ["train.seed=3"]))
    ['train.seed']
    """
    one, other = flat(before), flat(after)
    return [key for key in keys() if one[key] != other[key]]


def to_json(config: Config) -> str:
    """Configuration as JSON, read without loss by :func:`from_json`.

    Examples
    --------
    >>> from_json(to_json(Config())) == Config()
    True
    """
    return json.dumps(dataclasses.asdict(config), indent=2)


def from_json(text: str) -> Config:
    """Configuration from JSON written by :func:`to_json`, also by earlier versions without newer keys.

    Raises
    ------
    InputError
        If the text is not JSON, a key is unknown, or a value is invalid.
    """
    where = "learned.from_json: the configuration"
    try:
        content = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where} is not valid JSON ({error}).") from error
    if not isinstance(content, dict):
        raise InputError(f"{where} must be an object of sections; got {shown(content)}.")
    content = {
        k: v for k, v in content.items() if k not in ("format", "version")
    }  # keys of old files
    for name in content:
        if name not in SECTIONS:
            raise InputError(f"{where} has no section `{name}`.{meant(name, SECTIONS)}")
    try:
        return Config(
            **{name: kind.of(content.get(name, {}), where) for name, kind in SECTIONS.items()}
        )
    except InputError as error:
        raise InputError(f"{where}: {error}".replace(f"{where}: {where}", where)) from None


def _replaced(config: Config, values: dict[str, Any]) -> Config:
    """Copy with changed values; each section is validated once, with all changes."""
    changes: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, value in values.items():
        section, _, field = key.partition(".")
        changes[section][field] = value
    return Config(**{n: dataclasses.replace(getattr(config, n), **c) for n, c in changes.items()})


def _named(given: Namespace) -> Config:
    return preset(given["preset"]) if given.get("preset") else Config()
