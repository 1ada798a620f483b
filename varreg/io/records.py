"""Strict conversion between dataclasses and plain JSON values: damaged files are reported, never partly loaded."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, VarregError
from ..optimise.history import Stop
from ..options.options import Options

Record = TypeVar("Record")
#: Options missing in earlier versions, for which None reproduces their behaviour.
LATER_OPTIONS = ("weights", "similarities", "axes")


class Damage(FileError):
    """Invalid stored value; the reader of the file adds the file name."""


def plain(value: Any) -> Any:
    """A dataclass, enum or number as a JSON value without loss.

    Examples
    --------
    >>> plain(float("inf")), plain(Stop.BUDGET), plain((1, 2))
    ('inf', 'BUDGET', [1, 2])
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON cannot represent it; `number` reads it back
    return value


def entry(mapping: Any, key: str) -> Any:
    """The value of a required key."""
    if not isinstance(mapping, dict):
        raise Damage(f"an object with `{key}` is expected, not {_shown(mapping)}")
    if key not in mapping:
        raise Damage(f"`{key}` is missing")
    return mapping[key]


def text(mapping: Any, key: str) -> str:
    """The text value of a key."""
    return _text(entry(mapping, key), key)


def number(value: Any, name: str) -> float:
    """A number, which may be infinite or NaN."""
    if value in ("inf", "-inf", "nan"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Damage(f"`{name}` must be a number, not {_shown(value)}")
    return float(value)


def shape_of(mapping: Any, key: str) -> tuple[int, ...]:
    """The tuple of positive integers of a key."""
    return _shape(entry(mapping, key), key)


def array_of(mapping: Any, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """The array of numbers of a key, of known shape."""
    value = entry(mapping, key)
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise Damage(f"`{key}` is not an array of numbers") from error
    if array.shape != shape or not np.isfinite(array).all():
        raise Damage(f"`{key}` must be {shape} finite numbers, not {_shown(value)}")
    return array


def record(kind: type[Record], mapping: Any, name: str) -> Record:
    """A dataclass with fields of numbers, text, shapes or stop reasons.

    Examples
    --------
    >>> from varreg.optimise.history import Energy
    >>> record(Energy, {"similarity": 1.0, "smoothness": 0.0, "total": -1.0, "volume": 0.0, "points": 0.0, "rigidity": 0.0}, "energy").total
    -1.0
    """
    _same_keys(kind, mapping, name)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    return kind(**{f.name: _READERS[str(f.type)](mapping[f.name], f.name) for f in fields})


def nested(kind: Any, value: Any, name: str) -> Any:
    """A value of any type that :func:`plain` converts, including nested dataclasses.

    Examples
    --------
    >>> nested(tuple[float, ...], [1.0, "inf"], "spacing")
    (1.0, inf)
    """
    if kind is Options:
        return options_of(value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        _same_keys(kind, value, name)
        return kind(**{key: nested(k, value[key], key) for key, k in get_type_hints(kind).items()})
    arguments = get_args(kind)
    if type(None) in arguments:
        return None if value is None else nested(arguments[0], value, name)
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise Damage(f"`{name}` must be a list, not {_shown(value)}")
        return tuple(nested(arguments[0], entry, name) for entry in value)
    return _READERS[kind.__name__](value, name)


def options_of(mapping: Any) -> Options:
    """Options, which validate their values."""
    _same_keys(Options, mapping, "options")
    try:
        return Options(**mapping)
    except (VarregError, TypeError, ValueError, OverflowError) as error:
        raise Damage(f"`options` are not valid: {error}") from error


def renamed(mapping: Any) -> Any:
    """A record with current field names: earlier versions called the unfolding of a start its repair,
    and counted its rounds.
    """
    if not isinstance(mapping, dict):
        return mapping
    named = {("unfolding" if key == "repair" else key): value for key, value in mapping.items()}
    if isinstance(named.get("unfolding"), dict):
        kept = {k: v for k, v in named["unfolding"].items() if k not in ("rounds", "everywhere")}
        named["unfolding"] = kept
    return named


def with_volume(mapping: Any) -> Any:
    """An energy with all current terms: earlier versions had no volume term, points or rigid masks."""
    return (
        {"volume": 0.0, "points": 0.0, "rigidity": 0.0, **mapping}
        if isinstance(mapping, dict)
        else mapping
    )


def with_motion(mapping: Any) -> Any:
    """A model choice with all current fields: earlier versions kept headers only if nothing was better.

    Examples
    --------
    >>> with_motion({"affine": "headers"})
    {'rigid_gain': None, 'motion': None, 'affine': 'headers'}
    """
    return {"rigid_gain": None, "motion": None, **mapping} if isinstance(mapping, dict) else mapping


def with_later_options(mapping: Any) -> Any:
    """Options with all current fields: earlier versions computed smooth maps of one pair of images."""
    if not isinstance(mapping, dict):
        return mapping
    weights = {name: getattr(Options(), name) for name in ("points_weight", "rigidity_weight")}
    mapping = dict.fromkeys(LATER_OPTIONS) | weights | mapping
    later = {"regularity": "smooth", "volume_weight": 0.0}
    return mapping if not later.keys().isdisjoint(mapping) else later | mapping


def _same_keys(kind: type, mapping: Any, name: str) -> None:
    wanted = {field.name for field in dataclasses.fields(kind)}
    if not isinstance(mapping, dict) or set(mapping) != wanted:
        received = sorted(mapping) if isinstance(mapping, dict) else _shown(mapping)
        raise Damage(f"`{name}` must have the keys {sorted(wanted)}, not {received}")


def _shown(value: Any) -> str:
    """The value in an error message, truncated."""
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise Damage(f"`{name}` must be text, not {_shown(value)}")
    return value


def _count(value: Any, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Damage(f"`{name}` must be a whole number from 0, not {_shown(value)}")
    return value


def _flag(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise Damage(f"`{name}` must be true or false, not {_shown(value)}")
    return value


def _shape(value: Any, name: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 5:
        raise Damage(f"`{name}` must be a list of 1 to 5 sizes, not {_shown(value)}")
    sizes = tuple(_count(size, name) for size in value)
    if 0 in sizes:
        raise Damage(f"`{name}` has a size of 0: {sizes}")
    return sizes


def _stop(value: Any, name: str) -> Stop:
    if not isinstance(value, str) or value not in Stop.__members__:
        raise Damage(f"`{name}` is no known reason to stop: {_shown(value)}")
    return Stop[value]


# Readers by type annotation of a dataclass field.
_READERS: dict[str, Callable[[Any, str], Any]] = {
    "float": number,
    "int": _count,
    "str": _text,
    "tuple[int, ...]": _shape,
    "Stop": _stop,
    "bool": _flag,
}
