"""Trained networks by name or file, each read once."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from varreg.batch.pair import as_pair_task, located
from varreg.errors import InputError, VarregError
from varreg.images.accepted import as_pair

from . import weights
from .inference import Registrar


def load(model: str | os.PathLike[str] = weights.DEFAULT) -> Registrar:
    """Make a trained network ready.

    Parameters
    ----------
    model : str or PathLike
        One of :func:`learned.weights.names`, or the path of a file that
        :func:`learned.weights.save_model` wrote: see :func:`learned.weights.read`.

    Returns
    -------
    Registrar

    Raises
    ------
    InputError
        If there is no network of that name; the nearest is suggested.
    FileError
        If the file is absent, damaged, or holds another architecture than it says.
    """
    return _ready(*_found(model))


def registrar(model: str | os.PathLike[str] | Registrar) -> Registrar:
    """The network itself, or that of a name or path: read once, and again when its file changes."""
    if isinstance(model, Registrar):
        return model
    path, name = _found(model)
    try:
        status = path.stat()
    except OSError:
        return _ready(path, name)  # which says what is wrong
    return _kept(path, name, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=4)
def _kept(path: Path, name: str, changed: int, size: int) -> Registrar:
    return _ready(path, name)


def _ready(path: Path, name: str) -> Registrar:
    network, settings, card = weights.read(path)
    return Registrar(network, settings.shape, name, card)


def name_for_pairs(pairs: Any, function: str) -> tuple[str, Any]:
    """The network for images of the dimension of the first of some pairs, and the pairs again.

    Parameters
    ----------
    pairs : iterable
        What is none, or empty, is left to be refused by others.
    function : str
        Name for the messages.
    """
    if not isinstance(pairs, Iterable):
        return weights.DEFAULT, pairs
    rest = iter(pairs)
    first = list(itertools.islice(rest, 1))
    if not first:
        return weights.DEFAULT, first
    task = as_pair_task(first[0], 0, function)
    try:
        images = as_pair(task.arguments["moving"], task.arguments["fixed"], function)
    except VarregError as error:
        raise located(error, task.label)  # noqa: B904  it is the same error
    return weights.OF_DIMENSION[images[1].grid.dim], itertools.chain(first, rest)


def _found(model: Any) -> tuple[Path, str]:
    """The file of a network and what to call it."""
    if not isinstance(model, (str, os.PathLike)):
        raise InputError(
            f"learned.load: `model` must be a name or a path; got {type(model).__name__}."
        )
    path = Path(os.fsdecode(model))
    if isinstance(model, str) and path.name == model and path.suffix != weights.SUFFIX:
        return weights.find(model), model
    return path.expanduser(), path.stem
