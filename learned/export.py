"""Weights that leave a training, with a card: what was built, how it was trained, how good it is."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .cascade import Cascade
from .config import Config, to_json
from .data.parts import Parts, described_sources
from .position import Position
from .validation import Table
from .weights import save_model


def export(
    path: Path,
    cascade: Cascade,
    config: Config,
    parts: Parts,
    position: Position,
    *,
    hours: float,
    validation: Table | None,
    test: Table | None = None,
    affine_from: Mapping[str, Any] | None = None,
    stages_from: Mapping[str, Any] | None = None,
) -> None:
    """Write the weights of a cascade and their card, in place of those that are there.

    Parameters
    ----------
    path : Path
    cascade : Cascade
    config : Config
    parts : Parts
        What was trained and judged on.
    position : Position
        Where in the training the weights were found.
    hours : float
        Time until then.
    validation, test : Table or None
        Figures of :func:`learned.validation.evaluate`.
    affine_from, stages_from : mapping or None
        The cards of the weights that AT-Net was taken from and the stages began with.

    Raises
    ------
    FileError
        If the file cannot be written.
    """
    save_model(
        path,
        cascade,
        card(
            config, parts, position, hours=hours, validation=validation, test=test,
            affine_from=affine_from, stages_from=stages_from,
        ),
        overwrite=True,
    )  # fmt: skip


def card(
    config: Config,
    parts: Parts,
    position: Position,
    *,
    hours: float,
    validation: Table | None,
    test: Table | None = None,
    affine_from: Mapping[str, Any] | None = None,
    stages_from: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What is to be known about weights; arguments as for :func:`export`.

    Returns
    -------
    dict
        "architecture" are the arguments of :meth:`learned.cascade.Cascade.build`; "training" holds
        the configuration without paths, sources of data, figures (voxels, nats, shares), the place
        in the training and the hours it took; "affine_training" is the same of the run that AT-Net
        came from, if it was another, "stages_training" a list of those that the stages began with,
        the oldest first; "licences" are those of the data.
    """
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
    """That of the weights which the stages began with, after those that it began with itself."""
    if stages_from is None:
        return []
    return [*(stages_from.get("stages_training") or ()), stages_from.get("training")]


def _without_paths(config: Config) -> dict[str, Any]:
    """The configuration, of paths only the last part: a machine is nobody's business."""
    content = json.loads(to_json(config))
    for section, field in (
        ("data", "manifest"), ("data", "labels"), ("data", "cache"), ("train", "output"),
        ("train", "affine_from"), ("train", "stages_from"),
    ):  # fmt: skip
        if content[section][field] is not None:
            content[section][field] = Path(content[section][field]).name
    return content
