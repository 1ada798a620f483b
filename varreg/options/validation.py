"""Validators of the fields of an options dataclass."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from numbers import Real
from typing import Any

import numpy as np

from ..errors import InputError
from .names import AXES


def is_real(value: Any) -> bool:
    """Whether a value is a real number; NumPy scalars are numbers.Real too, except its bool and complex types."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: Any, low: int, high: float = math.inf) -> bool:
    return is_real(value) and float(value).is_integer() and low <= value <= high


def is_weight(value: Any) -> bool:
    return is_real(value) and 1e-30 <= value <= 1e30


def is_up_to_large(value: Any) -> bool:
    return is_real(value) and 0 <= value <= 1e30


def is_range(value: Any) -> bool:
    return value is None or (len(value) == 2 and all(map(is_real, value)) and value[0] < value[1])


def are_levels(value: Any) -> bool:
    if value is None:
        return True
    decreasing = all(a > b for a, b in zip(value, value[1:], strict=False))
    return len(value) > 0 and decreasing and all(is_real(f) and f >= 1 for f in value)


def are_counts(value: Any) -> bool:
    if value is None:
        return True
    counts = value if isinstance(value, tuple) else (value,)
    return len(counts) > 0 and all(is_whole(n, 0) for n in counts)


def are_weights(value: Any) -> bool:
    return value is None or (0 < len(value) and all(map(is_weight, value)))


def are_axes(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return 0 < len(value) == len(set(value)) and set(value) <= set(AXES)
    return (
        len(value) in (2, 3)
        and all(is_real(w) and 0 <= w <= 1 for w in value)
        and max(value) > 1e-3
    )


def are_choices(choices: tuple[str, ...]) -> Callable[[Any], bool]:
    """Whether a value is a tuple of allowed choices."""
    return lambda value: isinstance(value, tuple) and 0 < len(value) and set(value) <= set(choices)


def refuse_unknown(names: Iterable[str], known: list[str]) -> None:
    """Refuse an unknown option name, and suggest the nearest."""
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean `{near[0]}`?" if near else f" Known: {', '.join(known)}."
            raise InputError(f"varreg.Options has no field `{name}`.{hint}")


def as_tuple(options: Any, name: str) -> None:
    """Convert lists and arrays to tuples, so that options stay hashable and compare by value."""
    value = getattr(options, name)
    if isinstance(value, np.ndarray) and value.ndim:
        value = value.tolist()
    if hasattr(value, "__iter__") and not isinstance(value, (str, bytes)):
        with suppress(Exception):  # `check` reports the expected form
            object.__setattr__(options, name, tuple(value))


def plain_numbers(value: Any, number: type) -> Any:
    """Convert numbers to Python numbers, in tuples too; other values are unchanged."""
    if isinstance(value, tuple):
        return tuple(plain_numbers(v, number) for v in value)
    return number(value) if isinstance(value, Real) else value


def check(options: Any, name: str, valid: Callable[[Any], bool], wanted: str) -> None:
    value = getattr(options, name)
    try:
        good = valid(value)
    except Exception:  # other objects may raise anything
        good = False
    if not good:
        raise InputError(f"`Options({name}=...)` must be {wanted}; got {value!r}.")


def check_or_none(options: Any, name: str, valid: Callable[[Any], bool], wanted: str) -> None:
    """As :func:`check`; None is allowed too."""
    check(options, name, lambda value: value is None or valid(value), f"{wanted}, or None")


def named(value: Any, choices: Collection[str]) -> Any:
    """A name in the case of the choices, ignoring its own case; any other value unchanged.

    Examples
    --------
    >>> named("Rigid", ("rigid",)), named("Stiff", ("rigid",)), named(None, ())
    ('rigid', 'Stiff', None)
    """
    return value.lower() if isinstance(value, str) and value.lower() in choices else value


def check_choice(options: Any, name: str, choices: tuple[str, ...]) -> None:
    object.__setattr__(options, name, named(getattr(options, name), choices))
    check(options, name, lambda v: v in choices, "one of " + ", ".join(map(repr, choices)))


def check_whole(options: Any, name: str, low: int, high: int) -> None:
    check(options, name, lambda v: is_whole(v, low, high), f"a whole number from {low} to {high}")
