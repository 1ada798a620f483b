"""The training of a cascade with other networks in the place of its DT-Nets, and their files."""

from __future__ import annotations

import dataclasses
import os

from torch import Generator, nn

from varreg.errors import FileError, InputError

from ..cascade import Cascade
from ..config import Config
from ..devices import process_count
from ..train import train
from ..training_run import Trained
from ..weights import load_weights, read_model
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
    """Train a cascade whose DT-Nets are other networks, or go on; see :func:`learned.train.train`.

    Parameters
    ----------
    config : Config
        Of one process. Give every baseline an output folder of its own.
    baseline : Baseline
    resume, progress, tensorboard
        See :func:`learned.train.train`.

    Raises
    ------
    InputError
        If a package is missing, or the process is one of several.
    """
    if process_count() > 1:
        raise InputError("learned.baselines: baselines are trained by one process only.")
    # before there is a folder: a package may be missing
    make_network(baseline, config, Generator().manual_seed(0))
    return train(
        config,
        resume=resume,
        progress=progress,
        tensorboard=tensorboard,
        networks=lambda cascade: _put_networks(
            cascade, baseline, config, Generator().manual_seed(config.train.seed)
        ),
        described={KEY: dataclasses.asdict(baseline)},
    )


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


def _put_networks(
    cascade: Cascade, baseline: Baseline, config: Config, generator: Generator
) -> None:
    """A network of a kind in the place of every DT-Net."""
    nets = [make_network(baseline, config, generator) for _ in cascade.dt_nets]
    cascade.dt_nets = nn.ModuleList(nets)
