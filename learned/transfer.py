"""Initial weights from other trainings, and the model card of trained weights."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Generator

from varreg.errors import InputError

from .blocks import Dropout
from .cascade import Cascade
from .checkpoint import Position
from .config import Config, to_json
from .data.parts import Parts, described_sources
from .tensor_file import under
from .validation import Table
from .weights import load_weights, read_model

AT_NET, DT_NETS = "at_net.", "dt_nets."
PATHS = (
    ("data", "manifest"), ("data", "labels"), ("data", "cache"), ("train", "output"),
    ("train", "affine_from"), ("train", "stages_from"),
)  # fmt: skip


def new_cascade(config: Config, generator: Generator) -> Cascade:
    """Initial cascade of a training.

    Parameters
    ----------
    config : Config
        Configuration; ``train.affine_from`` is a model file with the initial weights of AT-Net and
        ``train.stages_from`` one with those of the stages.  Other weights are random.
    generator : torch.Generator
        Generator of the random weights.

    Returns
    -------
    Cascade

    Raises
    ------
    FileError
        If one of these files cannot be read.
    InputError
        If its networks have another architecture.
    """
    cascade = Cascade.build(**dataclasses.asdict(config.model), generator=generator)
    if config.train.affine_from is not None:
        _take_affine(cascade, config.train.affine_from)
    if config.train.stages_from is not None:
        _take_stages(cascade, config.train.stages_from)
    for module in cascade.modules():
        if isinstance(module, Dropout):
            module.rate = config.optimiser.dropout
    if config.model.dimension == 2:
        cascade.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return cascade


def card_of(path: str | None) -> dict[str, Any] | None:
    """Model card of a file, if the file exists."""
    return None if path is None or not Path(path).is_file() else read_model(path)[1]


def _take_affine(cascade: Cascade, path: str) -> None:
    if cascade.at_net is None:
        raise InputError("learned.train: `train.affine_from` is set, but the model has no AT-Net.")
    try:
        load_weights(cascade.at_net, under(AT_NET, read_model(path)[0]))
    except InputError as error:
        raise InputError(
            f"learned.train: the AT-Net in `train.affine_from` = {path!r} does not match `model` "
            f"({error}); set `model.at_width`, `model.shape`, `model.affine_scale` and "
            "`model.pooling` to the values of its training."
        ) from error


def _take_stages(cascade: Cascade, path: str) -> None:
    """Initialise each stage by the network of the file chosen by :func:`nearest_coarser`."""
    tensors, card = read_model(path)
    architecture = card["architecture"]
    theirs = [float(scale) for scale in architecture["scales"]]
    for k, net in enumerate(cascade.dt_nets):
        # a shared network is initialised as that of the finest stage
        place = nearest_coarser(
            theirs, cascade.settings.scales[-1 if cascade.settings.shared else k]
        )
        if place is None:
            continue
        place = 0 if architecture["shared"] else place
        try:
            load_weights(net, under(f"{DT_NETS}{place}.", tensors))
        except InputError as error:
            raise InputError(
                f"learned.train: the DT-Nets in `train.stages_from` = {path!r} do not match `model` "
                f"({error}); set `model.dt_width` and `model.dimension` to the values of their training."
            ) from error


def nearest_coarser(scales: Sequence[float], scale: float) -> int | None:
    """Index of the finest of decreasing scales that is not finer than a scale; None if all are finer.

    A network generalises well to finer images than those of its training, which have less detail per
    voxel, but not to coarser ones.

    Examples
    --------
    >>> [nearest_coarser((4.0, 2.0), scale) for scale in (8, 4, 3, 2, 1)]
    [None, 0, 0, 1, 1]
    """
    found = [place for place, theirs in enumerate(scales) if theirs >= scale]
    return found[-1] if found else None


def card(
    config: Config,
    parts: Parts,
    position: Position,
    *,
    hours: float,
    validation: Table | None,
    test: Table | None = None,
) -> dict[str, Any]:
    """Model card of trained weights.

    Parameters
    ----------
    config : Config
        Configuration of the training.
    parts : Parts
        Training, validation and test pairs.
    position : Position
        Position of the weights in the training.
    hours : float
        Duration of the training up to this position.
    validation, test : Table or None
        Figures of :func:`learned.validation.evaluate`.

    Returns
    -------
    dict
        "architecture": arguments of :meth:`learned.cascade.Cascade.build`; "training": configuration without
        paths, data sources, figures (voxels, nats, fractions), position and duration; "affine_training": the
        same of the training of AT-Net, if it was another; "stages_training": a list of the same for the
        trainings that provided initial weights of the stages, the oldest first; "licences": those of the data.
    """
    affine_from, stages_from = (
        card_of(path) for path in (config.train.affine_from, config.train.stages_from)
    )
    real = set(config.data.shares()) - {"phantom"}
    return {
        "architecture": {**dataclasses.asdict(config.model)},
        "training": {
            "config": _without_paths(config),
            "data": described_sources(config, parts),
            "figures": {"validation": validation, "test": test},
            "pairs": {"validation": len(parts.validation), "test": len(parts.test or ())},
            "stage": position.stage,
            "epoch": position.epoch,
            "step": position.step,
            "hours": hours,
            "torch": str(torch.__version__),
        },
        "affine_training": None if affine_from is None else affine_from.get("training"),
        "stages_training": _trainings(stages_from),
        "licences": list(config.data.licences)
        or ["not stated" if real else "no data but the phantom of varreg"],
    }


def _trainings(stages_from: Mapping[str, Any] | None) -> list[Any]:
    """Trainings that provided the initial weights of the stages, the oldest first."""
    if stages_from is None:
        return []
    return [*(stages_from.get("stages_training") or ()), stages_from.get("training")]


def _without_paths(config: Config) -> dict[str, Any]:
    """Configuration with file names only instead of paths, for privacy."""
    content = json.loads(to_json(config))
    for section, field in PATHS:
        if content[section][field] is not None:
            content[section][field] = Path(content[section][field]).name
    return content
