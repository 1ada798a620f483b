"""Types of configuration fields, and validated sections.

The types are those of jsonargparse, so that validation is the same on the command line, in files and in Python.
"""

from __future__ import annotations

import dataclasses
import difflib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Literal,
    NoReturn,
    TypeAlias,
    get_args,
    get_origin,
    get_type_hints,
)

from jsonargparse import ArgumentParser
from jsonargparse.typing import ClosedUnitInterval, restricted_number_type, restricted_string_type

from varreg.errors import InputError

logger = logging.getLogger(__name__)
_WORDS: dict[Any, str] = {ClosedUnitInterval: "a number from 0 to 1"}


def _whole(low: int, high: int) -> Any:
    """Type of integers in a range."""
    return _restricted(int, f"a whole number from {low} to {high}", low, high)


def _number(low: float, high: float) -> Any:
    """Type of numbers in a range."""
    return _restricted(float, f"a number from {low:g} to {high:g}", low, high)


def _restricted(kind: type, words: str, low: float, high: float) -> Any:
    made = restricted_number_type(None, kind, [(">=", low), ("<=", high)])
    _WORDS[made] = words
    return made


if TYPE_CHECKING:
    Size: TypeAlias = int
    Width: TypeAlias = int
    WidthOrNone: TypeAlias = int
    Few: TypeAlias = int
    Workers: TypeAlias = int
    Whole: TypeAlias = int
    Positive: TypeAlias = int
    Seed: TypeAlias = int
    Factor: TypeAlias = float
    Weight: TypeAlias = float
    Share: TypeAlias = float
    Most: TypeAlias = float
    Degrees: TypeAlias = float
    Strength: TypeAlias = float
    Millimetres: TypeAlias = float
    Rate: TypeAlias = float
    Norm: TypeAlias = float
    Decay: TypeAlias = float
    PathText: TypeAlias = str
    Name: TypeAlias = str
    Device: TypeAlias = str
else:
    Size, Width, Few = _whole(8, 4096), _whole(1, 1024), _whole(1, 16)
    WidthOrNone = _whole(0, 1024)
    Workers, Whole, Positive = _whole(0, 256), _whole(0, 10**9), _whole(1, 10**9)
    Seed = _whole(0, 2**63 - 1)
    Factor, Weight, Most = _number(1, 64), _number(0, 1e6), _number(0, 0.9)
    Share = ClosedUnitInterval
    Degrees, Strength, Millimetres = _number(0, 180), _number(0, 4), _number(0.01, 100)
    Rate, Norm = _number(1e-12, 10), _number(1e-12, 1e12)
    Decay = _number(0, 0.99999)
    PathText = restricted_string_type(
        "PathText", r"[^\x00]*[^\x00\s][^\x00]*\Z", docstring="a path"
    )
    Name = restricted_string_type("Name", r"(?s).*\S.*\Z", docstring="a name")
    Device = restricted_string_type(
        "Device",
        r"(auto|cpu|mps|cuda(:\d{1,3})?)\Z",
        docstring="one of 'auto', 'cpu', 'mps', 'cuda', 'cuda:0', ...",
    )


@dataclasses.dataclass(frozen=True)
class Section:
    """Section of a configuration; its fields are validated against their annotated types."""

    name: ClassVar[str] = ""
    #: Removed keys of old files, with the values that may be dropped; empty: all values, with a warning.
    gone: ClassVar[Mapping[str, Sequence[Any]]] = {}

    def __post_init__(self) -> None:
        values = {f.name: _from_numpy(getattr(self, f.name)) for f in dataclasses.fields(self)}
        hints = hints_of(type(self))
        for field, value in values.items():
            # jsonargparse interprets None as a missing field
            if value is None and type(None) not in get_args(hints[field]):
                self._refuse(field, wanted(hints[field]))
        try:
            kind: Any = type(self)  # mypy does not accept a class as cache key
            parsed = _parser(kind).parse_object(values)
        except Exception as error:  # values of arbitrary type cause arbitrary errors
            found = re.search(r'key "(\w+)"', str(error))
            if found is None:
                raise InputError(f"`{self.name}` cannot be read: {error}.") from error
            self._refuse(found[1], wanted(hints[found[1]]))
        for field, value in values.items():
            # a folder may be called "null", which YAML parses as None
            named = isinstance(value, str) and PathText in get_args(hints[field])
            object.__setattr__(self, field, _plain(value if named else parsed[field]))

    def _refuse(self, field: str, what: str) -> NoReturn:
        received = getattr(self, field)
        raise InputError(f"`{self.name}.{field}` must be {what}; got {shown(received)}.")

    @classmethod
    def of(cls, values: Any, where: str) -> Any:
        """Section from a mapping; missing keys, e.g. of old files, have their default."""
        if not isinstance(values, dict):
            raise InputError(
                f"{where} must be an object with keys of `{cls.name}`; got {shown(values)}."
            )
        known = [f.name for f in dataclasses.fields(cls)]
        values = {k: v for k, v in values.items() if not cls._is_gone(k, v, where)}
        for key in values:
            if key not in known:
                near = meant(f"{cls.name}.{key}", [f"{cls.name}.{k}" for k in known])
                raise InputError(f"{where} has no key `{cls.name}.{key}`.{near}")
        return cls(**values)

    @classmethod
    def _is_gone(cls, key: str, value: Any, where: str) -> bool:
        """Whether a key is a removed one of old files that may be dropped."""
        if key not in cls.gone:
            return False
        if not cls.gone[key]:
            logger.warning("learned: `%s.%s` no longer exists and is ignored.", cls.name, key)
        elif value not in cls.gone[key]:
            raise InputError(
                f"{where} has `{cls.name}.{key}` = {shown(value)}, which is no longer supported; without the key, "
                f"{shown(cls.gone[key][0])} is used."
            )
        return True


def hints_of(kind: Any) -> dict[str, Any]:
    """Types of the fields of a section."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def wanted(hint: Any) -> str:
    """Description of a type for messages.

    Examples
    --------
    >>> wanted(Literal["one", "two"] | None), wanted(tuple[Few, ...])
    ("one of 'one', 'two' or None", 'a list, each a whole number from 1 to 16')
    """
    if hint is bool:
        return "true or false"
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(repr, get_args(hint)))}"
    if get_origin(hint) is tuple:
        return f"a list, each {wanted(get_args(hint)[0])}"
    if get_args(hint):
        return f"{wanted(get_args(hint)[0])} or None"
    return _WORDS.get(hint) or (hint.__doc__ or hint.__name__).strip()


@cache
def _parser(kind: Any) -> ArgumentParser:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind)
    return parser


def _from_numpy(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value


def _plain(value: Any) -> Any:
    """Value with restricted numbers and strings converted to built-in types."""
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def shown(value: Any) -> str:
    """Representation of a value, truncated to 80 characters."""
    words = repr(value)
    return words if len(words) <= 80 else words[:77] + "..."


def meant(name: Any, known: Iterable[str]) -> str:
    """Sentence that suggests the nearest known name, or lists all."""
    keys = list(known)
    last = str(name).rpartition(".")[2]
    near = [key for key in keys if key.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(str(name), keys, 1)
    ends = difflib.get_close_matches(last, [key.rpartition(".")[2] for key in keys], 1)
    near = near or [key for key in keys if ends and key.rpartition(".")[2] == ends[0]]
    return f" Did you mean `{near[0]}`?" if near else f" Known: {', '.join(keys)}."
