"""Weights of a module on disk, with a card that says what they are of, and back into a module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from varreg.errors import FileError, InputError
from varreg.io.atomic import atomic_path

from .tensor_file import LARGEST_FILE, not_finite, read_tensors, to_bytes

FORMAT, VERSION = "learned model", 1
#: What a card must say, whatever else it says.
CARD_KEYS = ("architecture", "training", "licences")


def save_model(
    path: str | os.PathLike[str],
    module: nn.Module,
    card: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> None:
    """Write the weights of a module and what is to be known about them.

    Parameters
    ----------
    path : str or PathLike
        The file to be made; its folder must exist.
    module : torch.nn.Module
        Its state dict is written, whatever device it is on.
    card : mapping
        Values that JSON can hold, with the keys "architecture" (what to build), "training" (how the
        weights came about, and figures) and "licences".
    overwrite : bool
        Replace an existing file.

    Raises
    ------
    InputError
        If the card is not complete or not JSON, or a weight is not finite.
    FileError
        If the file exists or cannot be written; what was there is untouched.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> card = {"architecture": {"features": 2}, "training": {"epochs": 3}, "licences": ["CC0-1.0"]}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_model(Path(folder) / "w.safetensors", nn.Linear(2, 1), card)
    ...     read_model(Path(folder) / "w.safetensors")[1]["training"]
    {'epochs': 3}
    """
    missing = [key for key in CARD_KEYS if not isinstance(card, Mapping) or key not in card]
    if missing:
        raise InputError(
            f"learned.save_model: `card` must have the keys {', '.join(CARD_KEYS)}; it lacks "
            f"{missing[0]!r}."
        )
    tensors = state_of(module, "learned.save_model")
    data = to_bytes(tensors, FORMAT, VERSION, dict(card), "learned.save_model")
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def read_model(
    path: str | os.PathLike[str], *, largest: int = LARGEST_FILE
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`save_model` wrote.

    Parameters
    ----------
    path : str or PathLike
    largest : int
        Bytes; a longer file is refused unread.

    Returns
    -------
    tensors : dict of str to Tensor
        On the CPU, for :func:`load_weights`.
    card : dict

    Raises
    ------
    FileError
        If the file is absent, damaged, of another format, or has a weight that is not finite.
    """
    tensors, card = read_tensors(path, FORMAT, VERSION, "learned.read_model", largest)
    missing = [key for key in CARD_KEYS if key not in card]
    if missing:
        raise FileError(f"learned.read_model: the card of {str(path)!r} lacks {missing[0]!r}.")
    return tensors, card


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put weights into a module, all or none.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place.
    tensors : mapping of str to Tensor
        As :func:`read_model` gives them.

    Raises
    ------
    InputError
        If a name, shape or type is not that of the module, or a weight is not finite; the module
        is then unchanged.

    Examples
    --------
    >>> import torch
    >>> module = nn.Linear(2, 1)
    >>> load_weights(module, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    >>> module.weight.tolist()
    [[1.0, 1.0]]
    """
    wrong = mismatch(tensors, state_of(module, "learned.load_weights"))
    bad = "" if wrong else not_finite(tensors)
    wrong = wrong or (bad and f"{bad} is not finite")
    if wrong:
        raise InputError(
            f"learned.load_weights: `tensors` do not fit this {type(module).__name__}: {wrong}; "
            "build the architecture that the card describes."
        )
    module.load_state_dict(dict(tensors))


def mismatch(tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> str:
    """What distinguishes the names, shapes and types of tensors from the wanted ones, or ""."""
    for name in wanted:
        if name not in tensors:
            return f"{name!r} is missing"
    for name, tensor in tensors.items():
        if name not in wanted:
            return f"{name!r} is one too many"
        expected = wanted[name]
        if not isinstance(tensor, Tensor):
            return f"{name!r} is a {type(tensor).__name__}"
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            return (
                f"{name!r} has shape {tuple(tensor.shape)} ({tensor.dtype}) instead of "
                f"{tuple(expected.shape)} ({expected.dtype})"
            )
    return ""


def state_of(module: nn.Module, function: str) -> dict[str, Tensor]:
    """The state dict of a module, if there is nothing but tensors in it."""
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{function}: the model must be a torch module; got {type(module).__name__}."
        )
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise InputError(f"{function}: {name!r} of the model is no tensor but {type(value)}.")
    return state
