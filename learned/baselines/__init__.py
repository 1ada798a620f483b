"""Networks that the paper compares its cascade with, in the place of its last DT-Net.

Each takes a pair (N, 2, \\*S) - the moving image after AT-Net, and the fixed one - and returns a
displacement (N, d, \\*S) in voxels, so that one training, one loss and one evaluation serve all.
TransMorph and DiffuseMorph stand on backbones of MONAI, VoxelMorph on its own package; the classes say
where they differ from the originals.
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

#: The first is our own network, whose displacement may have any mean: for cascades without an affine map.
NAMES = (
    "free-dt-net", "velocity", "learned-inverse", "voxelmorph", "transmorph", "diffusemorph",
)  # fmt: skip
KEY = "baseline"  # of the architecture on a card


@dataclasses.dataclass(frozen=True)
class Baseline:
    """A network in the place of DT-Net.

    Parameters
    ----------
    name : str
        One of :data:`NAMES`.
    width : int or None
        Of "voxelmorph", "transmorph" and "diffusemorph", see there; the others, and DT-Nets in them,
        have ``model.dt_width``.
    consistency : float
        Weight of the dual consistency by the inverse of "velocity" and "learned-inverse"; ``loss.consistency``
        should then be 0.

    Raises
    ------
    InputError
        If there is no such network.
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
    """A new network of a kind, for one stage of a cascade.

    Parameters
    ----------
    baseline : Baseline
    config : Config
        Dimension, widths and dropout are taken from it.
    generator : torch.Generator
        Draws the weights, and all that is random later.

    Raises
    ------
    InputError
        If a package is missing or the width is not allowed.
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
