"""The trained networks that come with the package, and how any network is read from its file.

They are ``<name>.safetensors`` in this folder, as :func:`learned.model_file.save_model` writes them.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varreg.errors import FileError, InputError

if TYPE_CHECKING:
    from ..cascade import Cascade
    from ..config import ModelConfig

FOLDER = Path(__file__).resolve().parent
SUFFIX = ".safetensors"
#: The network that is taken if none is named.
DEFAULT = "brain-2d"


def names() -> tuple[str, ...]:
    """Names of all networks there are, for :func:`learned.load`.

    Examples
    --------
    >>> isinstance(names(), tuple)
    True
    """
    return tuple(sorted(file.name.removesuffix(SUFFIX) for file in FOLDER.glob(f"*{SUFFIX}")))


def find(name: str, function: str = "learned.load") -> Path:
    """The file of a network.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    function : str
        Name for the message.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        If there is none of that name; the nearest is suggested.

    Examples
    --------
    >>> find("no such network")
    Traceback (most recent call last):
    varreg.errors.InputError: learned.load: there is no network 'no such network'...
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, 1)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        there = f"There are: {', '.join(map(repr, known))}" if known else "None is installed here"
        raise InputError(
            f"{function}: there is no network {name!r}.{meant} {there}; a file is given by its path, "
            f"which ends in {SUFFIX}."
        )
    return FOLDER / f"{name}{SUFFIX}"


def read(path: Path, function: str = "learned.load") -> tuple[Cascade, ModelConfig, dict[str, Any]]:
    """Build the network that a file describes, with the weights in it.

    Parameters
    ----------
    path : Path
        Its card has, as "architecture", all fields of :class:`learned.config.ModelConfig`.
    function : str
        Name for the message.

    Returns
    -------
    network : Cascade
    settings : ModelConfig
    card : dict

    Raises
    ------
    FileError
        If the file is absent or damaged, or its weights are not those of the network that its card
        describes.
    """
    from ..cascade import Cascade
    from ..model_file import load_weights, read_model

    tensors, card = read_model(path)
    try:
        settings = _architecture(card["architecture"])
        _refuse_larger(settings, sum(tensor.numel() for tensor in tensors.values()))
        network = Cascade.build(**dataclasses.asdict(settings))
        load_weights(network, tensors)
    except InputError as error:
        raise FileError(
            f"{function}: {str(path)!r} holds no network that this version can build: {error}"
        ) from error
    return network, settings, card


def _architecture(described: Any) -> ModelConfig:
    """The settings of a network; none is left to a default, which may change one day."""
    from ..config import ModelConfig

    wanted = {field.name for field in dataclasses.fields(ModelConfig)}
    if not isinstance(described, Mapping) or set(described) != wanted:
        came = sorted(described) if isinstance(described, Mapping) else repr(described)[:80]
        raise InputError(f"its card describes {came} and not {sorted(wanted)}.")
    return ModelConfig(**described)


def _refuse_larger(settings: ModelConfig, numbers: int) -> None:
    """Refuse a card that asks for far more weights than its file has, before memory is taken."""
    d, at, dt = settings.dimension, 8 * settings.at_width, 4 * settings.dt_width
    stages = min(len(settings.scales), 1) if settings.shared else len(settings.scales)
    seen = (int(n / settings.affine_scale) // 32 for n in settings.shape)
    places = math.prod(seen) if settings.pooling == "flatten" else 1
    least = at**2 * 3**d + stages * dt**2 * 3**d + 32 * at * places
    if least > numbers:
        raise InputError(f"its card needs {least} weights and more, and it has {numbers}.")
