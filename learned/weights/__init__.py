"""Networks on disk: those that come with the package, and how any is written, checked and read.

A file is safetensors' own: tensors, and under one key of its metadata a JSON description with a checksum.
Nothing is unpickled, and nothing is believed before names, shapes and types in the header are those of
the network that the description asks for.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from varreg.errors import FileError, InputError, VarregError
from varreg.io.atomic import atomic_path

from ..cascade import Cascade
from ..config import ModelConfig
from ..fields import meant
from ..tensor_file import Layout, mismatch, not_finite, read_tensors, state_of, to_bytes

FOLDER = Path(__file__).resolve().parent
SUFFIX, DEFAULT = ".safetensors", "brain-2d"
#: The network for images of each dimension.
OF_DIMENSION = {2: DEFAULT, 3: "brain-3d"}
FORMAT, VERSION = "learned model", 1
#: What a card must say, whatever else it says.
CARD_KEYS = ("architecture", "training", "licences")


def names() -> tuple[str, ...]:
    """Names of all networks there are, for :func:`learned.load`."""
    return tuple(sorted(file.name.removesuffix(SUFFIX) for file in FOLDER.glob(f"*{SUFFIX}")))


def find(name: str, function: str = "learned.load") -> Path:
    """The file of a network of that name; the nearest is suggested if there is none.

    Examples
    --------
    >>> find("no such network")
    Traceback (most recent call last):
    varreg.errors.InputError: learned.load: there is no network 'no such network'...
    """
    known = names()
    if name not in known:
        near = meant(name, known) if known else " None is installed here."
        raise InputError(
            f"{function}: there is no network {name!r}.{near} A file is given by its path, which ends in {SUFFIX}."
        )
    return FOLDER / f"{name}{SUFFIX}"


def read(path: Path, function: str = "learned.load") -> tuple[Cascade, ModelConfig, dict[str, Any]]:
    """Build the network that a file describes, with the weights in it.

    Parameters
    ----------
    path : Path
        Its card has, as "architecture", the fields of :class:`learned.config.ModelConfig`; what it
        lacks is as it was before there was such a field: its default.
    function : str
        Name for the messages.

    Raises
    ------
    FileError
        If the file is absent or damaged, or its weights are not those of the network that its card
        describes; nothing is built then.
    """
    settings: list[ModelConfig] = []

    def wanted(card: dict[str, Any]) -> Layout:
        _check_card(card, FileError, "its card")
        settings.append(ModelConfig.of(card["architecture"], "its card"))
        return blueprint(settings[0])

    tensors, card = read_tensors(path, FORMAT, VERSION, function, wanted=wanted)
    network = Cascade.build(**dataclasses.asdict(settings[0]))
    network.load_state_dict(tensors)
    return network, settings[0], card


def blueprint(settings: ModelConfig) -> Layout:
    """Names, shapes and types of the weights of a network, without any memory for them.

    Examples
    --------
    >>> sum(w.numel() for w in blueprint(ModelConfig(at_width=1024)).values()) > 10**9
    True
    """
    with torch.device("meta"), _Unfilled():
        return Cascade.build(**dataclasses.asdict(settings)).state_dict()


class _Unfilled(TorchFunctionMode):
    """Nothing is drawn: what would be, or names a device, has no memory."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        named = dict(kwargs or {})
        if named.pop("generator", None) is not None or "device" in named:
            named["device"] = "meta"
        return function(*args, **named)


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
    """
    _check_card(card if isinstance(card, Mapping) else {}, InputError, "learned.save_model: `card`")
    tensors = state_of(module, "learned.save_model")
    data = to_bytes(tensors, FORMAT, VERSION, dict(card), "learned.save_model")
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and card that :func:`save_model` wrote, of any module; :func:`load_weights` takes them.

    Raises
    ------
    FileError
        If the file is absent, damaged, of another format, or has a weight that is not finite.
    """
    tensors, card = read_tensors(path, FORMAT, VERSION, "learned.read_model")
    _check_card(card, FileError, f"learned.read_model: the card of {os.fspath(path)!r}")
    return tensors, card


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put weights into a module, all or, if a name, shape, type or value is wrong, none.

    Examples
    --------
    >>> module = nn.Linear(2, 1)
    >>> load_weights(module, {"weight": torch.ones(1, 2), "bias": torch.zeros(1)})
    >>> module.weight.tolist()
    [[1.0, 1.0]]
    """
    wrong = mismatch(tensors, state_of(module, "learned.load_weights")) or not_finite(tensors)
    if wrong:
        raise InputError(
            f"learned.load_weights: `tensors` do not fit this {type(module).__name__}: {wrong}; "
            "build the architecture that the card describes."
        )
    module.load_state_dict(dict(tensors))


def _check_card(card: Mapping[str, Any], kind: type[VarregError], where: str) -> None:
    missing = [key for key in CARD_KEYS if key not in card]
    if missing:
        raise kind(f"{where} must have the keys {', '.join(CARD_KEYS)}; it lacks {missing[0]!r}.")
