"""The cascade that a training begins with."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from varreg.errors import InputError

from .blocks import Dropout
from .cascade import Cascade
from .config import Config
from .distributed import Processes
from .model_file import load_weights, read_model
from .shared_layers import share_batch

AT_NET = "at_net."


def new_cascade(config: Config, generator: Generator, ours: Processes) -> Cascade:
    """The cascade that a configuration describes, on the device of this process.

    Parameters
    ----------
    config : Config
        With ``train.affine_from`` AT-Net has the weights of that file; all others are drawn.
    generator : torch.Generator
        Draws the weights, then the dropout masks.
    ours : Processes

    Raises
    ------
    FileError
        If the file of ``train.affine_from`` cannot be read.
    InputError
        If its AT-Net is another one.
    """
    cascade = Cascade.build(**dataclasses.asdict(config.model), generator=generator)
    if config.train.affine_from is not None:
        _take_affine(cascade, config)
    for module in cascade.modules():
        if isinstance(module, Dropout):
            module.rate = config.optimiser.dropout
    share_batch(cascade, ours)
    cascade.to(ours.device)
    if config.model.dimension == 2:
        cascade.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return cascade


def affine_card(config: Config) -> dict[str, Any] | None:
    """What the file of ``train.affine_from`` says about itself, if there is one."""
    path = config.train.affine_from
    return None if path is None or not Path(path).is_file() else read_model(path)[1]


def _take_affine(cascade: Cascade, config: Config) -> None:
    path = str(config.train.affine_from)
    tensors, _ = read_model(path)
    weights = {
        name.removeprefix(AT_NET): tensor
        for name, tensor in tensors.items()
        if name.startswith(AT_NET)
    }
    if cascade.at_net is None:
        raise InputError("learned.train: `train.affine_from` is set, but the model has no AT-Net.")
    try:
        load_weights(cascade.at_net, weights)
    except InputError as error:
        raise InputError(
            f"learned.train: the AT-Net in `train.affine_from` = {path!r} does not fit `model` "
            f"({error}); set `model.at_width`, `model.shape`, `model.affine_scale` and "
            "`model.pooling` to what they were when it was trained."
        ) from error
