"""Model files: the networks shipped with the package, and writing, validating and reading model files.

The format is safetensors: tensors, and in the metadata a JSON description (the model card) with a checksum.
Nothing is unpickled, and no tensor is read before names, shapes and types in the header have been compared with
those of the network that the card describes.
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
#: Default network for images of each dimension.
OF_DIMENSION = {2: DEFAULT, 3: "brain-3d"}
FORMAT, VERSION = "learned model", 1
#: Required keys of a model card.
CARD_KEYS = ("architecture", "training", "licences")


def names() -> tuple[str, ...]:
    """Names of the shipped networks, for :func:`learned.load`."""
    return tuple(sorted(file.name.removesuffix(SUFFIX) for file in FOLDER.glob(f"*{SUFFIX}")))


def find(name: str, function: str = "learned.load") -> Path:
    """File of a shipped network; for an unknown name an InputError suggests the nearest one.

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
            f"{function}: there is no network {name!r}.{near} To load a file, specify its path, ending in {SUFFIX}."
        )
    return FOLDER / f"{name}{SUFFIX}"


def read(path: Path, function: str = "learned.load") -> tuple[Cascade, ModelConfig, dict[str, Any]]:
    """Read a model file and build its network.

    Parameters
    ----------
    path : Path
        Model file. The entry "architecture" of its card has the fields of
        :class:`learned.config.ModelConfig`; missing ones, of older files, have their defaults.
    function : str
        Function name for error messages.

    Returns
    -------
    tuple of Cascade, ModelConfig and dict
        Network with the weights of the file, its settings, and the model card.

    Raises
    ------
    FileError
        If the file does not exist, is damaged, or its weights do not match the architecture of its card;
        nothing is built then.
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
    """Names, shapes and types of the weights of a network, without allocating them.

    Examples
    --------
    >>> sum(w.numel() for w in blueprint(ModelConfig(at_width=1024)).values()) > 10**9
    True
    """
    with torch.device("meta"), _Unfilled():
        return Cascade.build(**dataclasses.asdict(settings)).state_dict()


class _Unfilled(TorchFunctionMode):
    """Mode in which tensors with a generator or a device are meta tensors: no memory, no random numbers."""

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
    """Write the weights of a module with a model card.

    Parameters
    ----------
    path : str or PathLike
        Path of the new file, in an existing folder.
    module : torch.nn.Module
        Module whose state dict is written; it may be on any device.
    card : mapping
        Model card, serialisable as JSON, with the keys "architecture" (settings of the network),
        "training" (origin of the weights, and results) and "licences".
    overwrite : bool
        Whether to replace an existing file.

    Raises
    ------
    InputError
        If the card is incomplete or not serialisable, or a weight is not finite.
    FileError
        If the file exists or cannot be written; an existing file is unchanged.
    """
    _check_card(card if isinstance(card, Mapping) else {}, InputError, "learned.save_model: `card`")
    tensors = state_of(module, "learned.save_model")
    data = to_bytes(tensors, FORMAT, VERSION, dict(card), "learned.save_model")
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_bytes(data)


def read_model(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Weights and card of a file written by :func:`save_model`; see :func:`load_weights`.

    Raises
    ------
    FileError
        If the file does not exist, is damaged, has another format, or a weight that is not finite.
    """
    tensors, card = read_tensors(path, FORMAT, VERSION, "learned.read_model")
    _check_card(card, FileError, f"learned.read_model: the card of {os.fspath(path)!r}")
    return tensors, card


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load weights into a module: all, or none if a name, shape, type or value is wrong (InputError).

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
            f"learned.load_weights: `tensors` do not match this {type(module).__name__}: {wrong}; "
            "build the architecture described in the model card."
        )
    module.load_state_dict(dict(tensors))


def _check_card(card: Mapping[str, Any], kind: type[VarregError], where: str) -> None:
    missing = [key for key in CARD_KEYS if key not in card]
    if missing:
        raise kind(f"{where} must have the keys {', '.join(CARD_KEYS)}; {missing[0]!r} is missing.")
