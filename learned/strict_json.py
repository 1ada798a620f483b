"""JSON as its standard has it."""

from __future__ import annotations

import json
from typing import Any

from .messages import shown


def parse_json(text: str) -> Any:
    """JSON without the liberties of Python's reader: no key twice, no NaN; else a ValueError."""
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {shown(key)} is there twice")
        content[key] = value
    return content


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not a number of JSON")
