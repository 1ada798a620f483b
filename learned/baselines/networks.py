"""The baselines by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Generator, nn

from varreg.errors import InputError

from ..config import Config
from ..dt_net import DTNet
from .diffusemorph import DiffuseMorph
from .learned_inverse import LearnedInverseNet
from .transmorph import TransMorph
from .velocity import VelocityNet
from .voxelmorph import VoxelMorph

#: The first is our own network, whose displacement may have any mean: for cascades without an affine map.
NAMES = (
    "free-dt-net", "velocity", "learned-inverse", "voxelmorph", "transmorph", "diffusemorph",
)  # fmt: skip


@dataclass(frozen=True)
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
