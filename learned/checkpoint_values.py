"""The values of a training's state as JSON and tensors, and back without loss."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from varreg.errors import InputError

from .checkpoint_checks import Misfit
from .messages import shown


def encoded(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; tensors in it are put aside under their path.

    What is not JSON already becomes a list that starts with its kind.
    """
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return ["float", value.hex()]
    if isinstance(value, Tensor):
        if path in tensors:
            raise InputError(f"learned.save_checkpoint: there are two entries named {path!r}.")
        tensors[path] = value
        return ["tensor", path]
    if type(value) in (list, tuple):
        entries = [encoded(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]
        return [type(value).__name__, entries]
    if type(value) is dict and all(type(key) in (str, int) for key in value):
        return ["dict", [[k, encoded(v, f"{path}/{k}", tensors)] for k, v in value.items()]]
    raise InputError(
        f"learned.save_checkpoint: {path} is a {type(value).__name__}, which a checkpoint cannot "
        "hold; it holds numbers, text, tensors, and lists, tuples and dictionaries of them."
    )


def decoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of :func:`encoded`; each tensor is taken out once, as a copy."""
    if not isinstance(value, list):
        if isinstance(value, (float, dict)):
            raise Misfit(f"{shown(value)} stands where a checkpoint has none")
        return value
    kind, content = value
    if kind == "float":
        return float.fromhex(content)
    if kind == "tensor":
        return tensors.pop(content).clone()
    if kind == "dict":
        return {key: decoded(entry, tensors) for key, entry in content}
    if kind not in ("list", "tuple"):
        raise Misfit(f"{shown(kind)} is no kind of value")
    entries = [decoded(entry, tensors) for entry in content]
    return entries if kind == "list" else tuple(entries)
