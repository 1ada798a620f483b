"""Baseline networks of the paper's comparison, in place of the DT-Nets of the cascade.

The input of each is a pair (N, 2, \\*S), the moving image after AT-Net and the fixed image, and the output a
displacement (N, d, \\*S) in voxels, so that training, loss and evaluation are the same for all.
TransMorph and DiffuseMorph use backbones of MONAI, VoxelMorph its own package; differences from the original
networks are described in the docstrings of the classes.
"""

from __future__ import annotations

import dataclasses
import os
from typing import Any

from torch import Generator, nn

from varreg.errors import FileError, InputError

from ..cascade import Cascade
from ..config import Config
from ..devices import process_count
from ..dt_net import DTNet
from ..train import train
from ..training_run import Trained
from ..weights import load_weights, read_model
from .invertible import LearnedInverseNet, VelocityNet, integrate_velocity
from .packaged import DiffuseMorph, TransMorph, VoxelMorph

__all__ = [
    "NAMES",
    "Baseline",
    "baseline_cascade",
    "integrate_velocity",
    "load_baseline",
    "make_network",
    "train_baseline",
]

#: Names of the baselines; "free-dt-net" is DT-Net without the zero-mean constraint, for cascades without AT-Net.
NAMES = (
    "free-dt-net", "velocity", "learned-inverse", "voxelmorph", "transmorph", "diffusemorph",
)  # fmt: skip
KEY = "baseline"  # key in the architecture of a model card


@dataclasses.dataclass(frozen=True)
class Baseline:
    """Baseline network in place of DT-Net.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    width : int or None
        Width of "voxelmorph", "transmorph" and "diffusemorph", see these classes; the width of the others, and
        of DT-Nets in them, is ``model.dt_width``.
    consistency : float
        Weight of the dual consistency with the network's own inverse, for "velocity" and "learned-inverse";
        ``loss.consistency`` should then be 0.

    Raises
    ------
    InputError
        If the name is unknown.
    """

    name: str
    width: int | None = None
    consistency: float = 0.0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise InputError(
                f"learned.baselines.Baseline: `name` must be one of {', '.join(NAMES)}; got "
                f"{self.name!r}."
            )


def make_network(baseline: Baseline, config: Config, generator: Generator) -> nn.Module:
    """Untrained baseline network for one stage of a cascade.

    Parameters
    ----------
    baseline : Baseline
    config : Config
        Defines dimension, width and dropout.
    generator : torch.Generator
        Generator of the initial weights and of all later random numbers.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    InputError
        If a package is missing or the width is invalid.
    """
    d, own = config.model.dimension, config.model.dt_width
    common: dict[str, Any] = {"dropout": config.optimiser.dropout, "generator": generator}
    width: dict[str, Any] = {} if baseline.width is None else {"width": baseline.width}
    if baseline.name == "free-dt-net":
        return DTNet(d, own, zero_mean=False, **common)
    if baseline.name == "velocity":
        return VelocityNet(d, own, consistency=baseline.consistency, **common)
    if baseline.name == "learned-inverse":
        return LearnedInverseNet(d, own, consistency=baseline.consistency, **common)
    if baseline.name == "voxelmorph":
        return VoxelMorph(d, generator=generator, **width)
    if baseline.name == "transmorph":
        return TransMorph(d, generator=generator, **width)
    return DiffuseMorph(d, field_width=own, **common, **width)


def train_baseline(
    config: Config,
    baseline: Baseline,
    *,
    resume: bool = False,
    progress: bool | None = None,
    tensorboard: bool = True,
) -> Trained:
    """Train a cascade with baseline networks in place of its DT-Nets, see :func:`learned.train.train`.

    Parameters
    ----------
    config : Config
        Configuration of the training; every baseline requires its own output folder.
    baseline : Baseline
    resume, progress, tensorboard
        See :func:`learned.train.train`.

    Returns
    -------
    Trained

    Raises
    ------
    InputError
        If a package is missing, or there are several processes.
    """
    if process_count() > 1:
        raise InputError("learned.baselines: baselines can be trained by a single process only.")
    # fails before the output folder is created if a package is missing
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
    """Untrained cascade with a baseline in place of every DT-Net."""
    generator = Generator().manual_seed(config.train.seed)
    cascade = Cascade.build(**dataclasses.asdict(config.model), generator=generator)
    _put_networks(cascade, baseline, config, generator)
    return cascade


def load_baseline(path: str | os.PathLike[str], config: Config) -> Cascade:
    """Load a cascade trained by :func:`train_baseline`, in evaluation mode.

    Parameters
    ----------
    path : str or PathLike
        Path of the model file.
    config : Config
        Configuration of its training.

    Returns
    -------
    Cascade

    Raises
    ------
    FileError
        If the file cannot be read or contains no baseline.
    InputError
        If it was trained with another configuration, or a package is missing.
    """
    tensors, content = read_model(path)
    try:
        baseline = Baseline(**content["architecture"][KEY])
    except (KeyError, TypeError) as error:
        raise FileError(
            f"learned.baselines.load_baseline: {os.fspath(path)!r} contains no baseline; load "
            "other cascades by learned.load."
        ) from error
    cascade = baseline_cascade(config, baseline)
    load_weights(cascade, tensors)
    return cascade.eval()


def _put_networks(
    cascade: Cascade, baseline: Baseline, config: Config, generator: Generator
) -> None:
    """Replace every DT-Net by a baseline network."""
    nets = [make_network(baseline, config, generator) for _ in cascade.dt_nets]
    cascade.dt_nets = nn.ModuleList(nets)
