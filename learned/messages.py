"""Pieces of error messages: a value cut short, and the name that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any


def shown(value: Any) -> str:
    """The value, cut short."""
    words = repr(value)
    return words if len(words) <= 80 else words[:77] + "..."


def meant(name: Any, known: Iterable[str]) -> str:
    """The known name that was probably meant, in a sentence."""
    keys = list(known)
    last = str(name).rpartition(".")[2]
    near = [key for key in keys if key.rpartition(".")[2] == last]
    near = near or difflib.get_close_matches(str(name), keys, 1)
    ends = difflib.get_close_matches(last, [key.rpartition(".")[2] for key in keys], 1)
    near = near or [key for key in keys if ends and key.rpartition(".")[2] == ends[0]]
    return f" Did you mean `{near[0]}`?" if near else f" Known: {', '.join(keys)}."
