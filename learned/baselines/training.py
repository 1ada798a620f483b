"""The training of a cascade with other networks in the place of its DT-Nets, and their files."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from tqdm.contrib.logging import logging_redirect_tqdm

from varreg.errors import FileError, InputError

from ..cascade import Cascade
from ..config import Config
from ..data.datasets import Pair
from ..distributed import Processes, processes
from ..export import card
from ..losses.objective import Losses
from ..position import Position
from ..reproducible import reproducible
from ..run_folder import RunFolder
from ..stage_losses import Known
from ..training_run import Trained, TrainingRun
from ..training_state import Training
from ..validation import Table
from ..weights import load_weights, read_model, save_model
from .networks import Baseline, make_network

KEY = "baseline"  # of the architecture on a card


def train_baseline(
    config: Config,
    baseline: Baseline,
    *,
    resume: bool = False,
    progress: bool | None = None,
    tensorboard: bool = True,
) -> Trained:
    """Train a cascade whose DT-Nets are other networks, or go on; see :func:`learned.trainer.train`.

    Parameters
    ----------
    config : Config
        Of one process. Give every baseline an output folder of its own.
    baseline : Baseline
    resume, progress, tensorboard
        See :func:`learned.trainer.train`.

    Raises
    ------
    InputError
        If a package is missing, or the process is one of several.
    """
    with (
        processes(config.train.devices) as ours,
        reproducible(config.train.threads, ours.device, config.train.seed),
        logging_redirect_tqdm(),
    ):
        if ours.count > 1:
            raise InputError("learned.baselines: baselines are trained by one process only.")
        # before there is a folder: a package may be missing
        make_network(baseline, config, Generator().manual_seed(0))
        folder = RunFolder(config.train.output)
        folder.check(config, resume)
        return BaselineRun(config, baseline, ours, folder, resume, progress, tensorboard).run()


def baseline_cascade(config: Config, baseline: Baseline) -> Cascade:
    """An untrained cascade with a baseline in the place of every DT-Net."""
    generator = Generator().manual_seed(config.train.seed)
    cascade = Cascade.build(**dataclasses.asdict(config.model), generator=generator)
    _put_networks(cascade, baseline, config, generator)
    return cascade


def load_baseline(path: str | os.PathLike[str], config: Config) -> Cascade:
    """The cascade of a file that :func:`train_baseline` left, in evaluation mode.

    Parameters
    ----------
    path : str or PathLike
    config : Config
        With which it was trained.

    Raises
    ------
    FileError
        If it cannot be read or holds no baseline.
    InputError
        If it is of another configuration, or a package is missing.
    """
    tensors, content = read_model(path)
    try:
        baseline = Baseline(**content["architecture"][KEY])
    except (KeyError, TypeError) as error:
        raise FileError(
            f"learned.baselines.load_baseline: {os.fspath(path)!r} holds no baseline; an ordinary "
            "cascade is read by learned.load."
        ) from error
    cascade = baseline_cascade(config, baseline)
    load_weights(cascade, tensors)
    return cascade.eval()


class BaselineRun(TrainingRun):
    """A :class:`learned.training_run.TrainingRun` of a cascade with baselines in it.

    Parameters
    ----------
    baseline : Baseline
    config, ours, folder, resume, progress, tensorboard
        See :class:`learned.training_run.TrainingRun`.
    """

    def __init__(
        self,
        config: Config,
        baseline: Baseline,
        ours: Processes,
        folder: RunFolder,
        resume: bool = False,
        progress: bool | None = None,
        tensorboard: bool = True,
    ) -> None:
        super().__init__(config, ours, folder, resume, progress, tensorboard)
        self.baseline = baseline
        _put_networks(self.model, baseline, config, self.generator)
        self.model.to(ours.device)

    def _step(self, module: nn.Module, training: Training, batch: Pair) -> dict[str, float]:
        return super()._step(_WithAuxiliary(module, self.model), training, batch)

    def _export(self, position: Position, validation: Table, test: Table | None = None) -> None:
        content = card(
            self.config,
            self.parts,
            position,
            hours=self.reports.hours,
            validation=validation,
            test=test,
        )
        content["architecture"][KEY] = dataclasses.asdict(self.baseline)
        save_model(Path(self.folder.model), self.model, content, overwrite=True)


class _WithAuxiliary(nn.Module):
    """A loss with what the networks add to it of their own."""

    def __init__(self, loss: nn.Module, cascade: Cascade) -> None:
        super().__init__()
        self.loss, self.cascade = loss, cascade

    def forward(self, moving: Tensor, fixed: Tensor, known: Known | None = None) -> Losses:
        losses: Losses = self.loss(moving, fixed, known)
        for net in self.cascade.dt_nets:
            extra: Any = getattr(net, "auxiliary", None)
            if isinstance(extra, Tensor):
                losses = losses._replace(total=losses.total + extra)
        return losses


def _put_networks(
    cascade: Cascade, baseline: Baseline, config: Config, generator: torch.Generator
) -> None:
    """A network of a kind in the place of every DT-Net."""
    nets = [make_network(baseline, config, generator) for _ in cascade.dt_nets]
    cascade.dt_nets = nn.ModuleList(nets)
