"""What the fields of a configuration may be, and sections whose fields obey."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from varreg.errors import InputError

from ..messages import shown
from ..strict_json import parse_json


@dataclass(frozen=True)
class Rule:
    """What a field may be, said in words and tested; it reads values and text alike."""

    wanted: str
    kind: type
    test: Callable[[Any], bool] = lambda value: True
    many: bool = False
    optional: bool = False

    def plain(self, value: Any) -> Any:
        """Python's own number, text or tuple; a ValueError or TypeError if it is none of ours."""
        if value is None and self.optional:
            return None
        if self.many:
            if isinstance(value, (str, bytes, Mapping)):
                raise TypeError
            result: Any = tuple(_plain(entry, self.kind) for entry in value)
        else:
            result = _plain(value, self.kind)
        if not self.test(result):
            raise ValueError
        return result

    def parse(self, text: str) -> Any:
        """The value that a text stands for, not tested yet."""
        if self.optional and text.strip().lower() == "none":
            return None
        if not self.many:
            return _parse(text, self.kind)
        text = text.strip()
        if self.kind is str and text.startswith("["):
            return parse_json(text)
        inner = text[1:-1] if text[:1] + text[-1:] in ("()", "[]") else text
        parts = [part.strip() for part in inner.split(",")]
        return [_parse(p, self.kind) for p in (parts[:-1] if not parts[-1] else parts)]


def _plain(value: Any, kind: type) -> Any:
    if kind is bool or kind is str:
        if not isinstance(value, kind):
            raise TypeError
        return value
    # numpy's scalars are numbers.Real too, its bool is not
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise TypeError
    if kind is int and not float(value).is_integer():
        raise ValueError
    return kind(value)


def _parse(text: str, kind: type) -> Any:
    if kind is str:
        return text
    word = text.strip().lower()
    if kind is bool:
        return {"true": True, "false": False}[word]
    try:
        return int(word)
    except ValueError:
        return float(word)


def whole(default: int, low: int, high: int) -> Any:
    """A field for a whole number."""
    wanted = f"a whole number from {low} to {high}"
    return ruled(default, Rule(wanted, int, lambda v: low <= v <= high))


def number(default: float, low: float, high: float) -> Any:
    """A field for a number."""
    wanted = f"a number from {low:g} to {high:g}"
    return ruled(default, Rule(wanted, float, lambda v: low <= v <= high))


def choice(default: str, choices: Iterable[str]) -> Any:
    """A field for one of some words."""
    known = tuple(choices)
    return ruled(default, Rule("one of " + ", ".join(map(repr, known)), str, lambda v: v in known))


def names() -> Any:
    """A field for names, none of them twice."""
    once = lambda v: all(name.strip() for name in v) and len(set(v)) == len(v)  # noqa: E731
    return ruled((), Rule("names, each once", str, once, many=True))


def path(default: str | None) -> Any:
    """A field for a path, which may be left out where the default is None."""
    optional = default is None
    wanted = "a path" + (" or None" if optional else "")
    usable = lambda v: bool(v.strip()) and "\0" not in v  # noqa: E731
    return ruled(default, Rule(wanted, str, usable, optional=optional))


def ruled(default: Any, rule: Rule) -> Any:
    """A field with a rule of its own."""
    return dataclasses.field(default=default, metadata={"rule": rule})


@dataclass(frozen=True)
class Section:
    """A part of the configuration, whose fields carry their rules."""

    name: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, rule = getattr(self, field.name), field.metadata["rule"]
            try:
                object.__setattr__(self, field.name, rule.plain(value))
            except (TypeError, ValueError, OverflowError):
                self._refuse(field.name, rule.wanted)

    def _refuse(self, field: str, wanted: str) -> None:
        came = getattr(self, field)
        raise InputError(f"`{self.name}.{field}` must be {wanted}; got {shown(came)}.")
