"""All sections together, and how single fields of them are changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from varreg.errors import InputError

from ..messages import meant, shown
from .data_section import DataConfig
from .rules import Rule, Section
from .sections import LossConfig, ModelConfig, OptimiserConfig, TrainConfig


@dataclass(frozen=True)
class Config:
    """All sections together.

    Examples
    --------
    >>> Config().model.scales
    (4.0, 2.0, 1.0)
    """

    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    data: DataConfig = DataConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    train: TrainConfig = TrainConfig()

    def __post_init__(self) -> None:
        for name, kind in SECTIONS.items():
            if not isinstance(getattr(self, name), kind):
                raise InputError(
                    f"`Config({name}=...)` must be a {kind.__name__}; got "
                    f"{type(getattr(self, name)).__name__}."
                )


SECTIONS: dict[str, type[Section]] = {
    kind.name: kind for kind in (ModelConfig, LossConfig, DataConfig, OptimiserConfig, TrainConfig)
}


def with_changes(config: Config, changes: Iterable[str]) -> Config:
    """A copy with fields changed by ``section.field=value`` texts, checked all together.

    Parameters
    ----------
    config : Config
        What is changed.
    changes : iterable of str
        Values are read by the type of the field: ``none``, ``true``, ``1e-4``, ``4,2,1``; of
        several for one key the last counts.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        If a key is unknown (the nearest is suggested) or a value is not allowed.

    Examples
    --------
    >>> with_changes(Config(), ["model.scales=2,1", "optimiser.learning_rate=1e-4"]).model.scales
    (2.0, 1.0)
    """
    if isinstance(changes, str):
        raise InputError(
            f"learned.with_changes: `changes` must be a list of texts; got {changes!r}."
        )
    values = {}
    for change in changes:
        if not isinstance(change, str) or "=" not in change:
            raise InputError(
                f"learned.with_changes: a change must be 'section.field=value'; got {change!r}."
            )
        key, _, text = change.partition("=")
        key = key.strip()
        rule = rule_of(key, "learned.with_changes")
        try:
            values[key] = rule.parse(text)
        except (ValueError, KeyError, RecursionError) as error:
            raise InputError(f"`{key}` must be {rule.wanted}; got {shown(text)}.") from error
    return replaced(config, values)


def changed_keys(before: Config, after: Config) -> list[str]:
    """The keys in which two configurations differ.

    Examples
    --------
    >>> changed_keys(Config(), with_changes(Config(), ["train.seed=3"]))
    ['train.seed']
    """
    return [key for key in rules_by_key() if _value(before, key) != _value(after, key)]


def replaced(config: Config, values: Mapping[str, Any]) -> Config:
    """A copy with the values of some keys; each section is checked once, when it is whole."""
    if not isinstance(config, Config):
        raise InputError(f"learned: `config` must be a Config; got {type(config).__name__}.")
    sections = {}
    for name in SECTIONS:
        changes = {k.partition(".")[2]: v for k, v in values.items() if k.startswith(f"{name}.")}
        sections[name] = dataclasses.replace(getattr(config, name), **changes)
    return Config(**sections)


def rules_by_key() -> dict[str, Rule]:
    """The rule of every key."""
    return {
        f"{section}.{field.name}": field.metadata["rule"]
        for section, kind in SECTIONS.items()
        for field in dataclasses.fields(kind)
    }


def rule_of(key: str, where: str) -> Rule:
    """The rule of one key, or an error that suggests another."""
    rules = rules_by_key()
    if key not in rules:
        raise InputError(f"{where} has no key `{key}`.{meant(key, rules)}")
    return rules[key]


def _value(config: Config, key: str) -> Any:
    section, _, field = key.partition(".")
    return getattr(getattr(config, section), field)
