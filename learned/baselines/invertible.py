"""Base class of networks that give an inverse of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Generator, Tensor, nn

from ..blocks import DROPOUT
from ..dt_net import DTNet
from ..losses.consistency import carried_back
from ..precision import without_autocast
from ..spatial import warp


class InvertibleNet(nn.Module, ABC):
    """A DT-Net whose displacement comes with an inverse.

    Parameters
    ----------
    dimension : {2, 3}
    width : int
        Of the DT-Net.
    dropout : float
    consistency : float
        Weight of the dual consistency, by the inverse of this network; 0 leaves it out.
    generator : torch.Generator, optional
        Draws the weights, then the dropout masks; None is a new one with seed 0.

    Attributes
    ----------
    auxiliary : Tensor or None
        What the last pass in training adds to the loss.
    """

    def __init__(
        self,
        dimension: int = 2,
        width: int = 32,
        dropout: float = DROPOUT,
        consistency: float = 0.0,
        generator: Generator | None = None,
    ) -> None:
        super().__init__()
        self.dimension, self.consistency = dimension, consistency
        self.net = DTNet(dimension, width, dropout, generator=generator)
        self.auxiliary: Tensor | None = None

    def forward(self, pair: Tensor) -> Tensor:
        r"""Displacement (N, d, \*S) in voxels of a pair (N, 2, \*S)."""
        if self.training and self._learns_inverse():
            displacement, inverse = self.with_inverse(pair)
            self.auxiliary = self._auxiliary(pair, displacement, inverse)
            return displacement
        self.auxiliary = None
        return self.displacement(pair)

    @abstractmethod
    def displacement(self, pair: Tensor) -> Tensor:
        r"""The displacement alone, (N, d, \*S) in voxels."""

    @abstractmethod
    def with_inverse(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        r"""The displacement and its inverse, both (N, d, \*S) in voxels."""

    def _learns_inverse(self) -> bool:
        """Whether the loss depends on the inverse; if not, none is computed in training."""
        return self.consistency > 0

    def _auxiliary(self, pair: Tensor, displacement: Tensor, inverse: Tensor) -> Tensor:
        """What a pass in training adds to the loss: the dual consistency, with its weight."""
        with without_autocast(pair):
            moving = pair[:, :1].to(displacement.dtype)
            back = carried_back(moving, warp(moving, displacement), inverse)
            return self.consistency * back.mean()
