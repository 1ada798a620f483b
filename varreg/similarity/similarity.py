"""The similarity of two images at one level as a function of the map, with its exact gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from ..backends.arrays import Array, VoxelMap
from ..backends.namespace import contiguous
from ..geometry.grid import Grid


@dataclass(frozen=True)
class SimilarityValue:
    """The similarity under one map, with its gradient.

    Attributes
    ----------
    value : float
        In nats, larger is better; 0 if nothing is in view.
    in_view : float
        Fraction of the fixed voxels that count which map to moving voxels that count.
    """

    value: float
    in_view: float
    _similarity: Similarity
    _place: tuple[VoxelMap, Array]
    _number: int

    def gradient(self) -> Array:
        """Derivative of the value by the moving voxel positions y, gathered at the nodes, (3, a, b, c).

        Measured again if the similarity has been evaluated elsewhere since.
        """
        return self._similarity.gradient_at(self._place, self._number)


class Similarity(ABC):
    """The similarity of the fixed image and the moving one under a map, at one level.

    A subclass measures and differentiates; here is what belongs to which map.

    Parameters
    ----------
    fixed_grid, moving_grid : Grid
        Of the level.
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of images and maps (float32; float64 for derivative checks).
    """

    def __init__(
        self, fixed_grid: Grid, moving_grid: Grid, kernels: ModuleType, threads: int,
        dtype: np.dtype | type,
    ) -> None:  # fmt: skip
        self.fixed_grid, self.moving_grid = fixed_grid, moving_grid
        self.kernels, self.threads, self.dtype = kernels, threads, np.dtype(dtype)
        self._evaluations = 0

    def evaluate(self, where: VoxelMap, nodes: Array) -> SimilarityValue:
        """Similarity with the nodes at `nodes`, (3, a, b, c)."""
        place = where, contiguous(nodes, self.dtype)
        value, in_view = self._measured(place)
        kept = where._replace(linear=where.linear.copy()), place[1]  # `where` may be changed later
        return SimilarityValue(value, in_view, self, kept, self._evaluations)

    def gradient_at(self, place: tuple[VoxelMap, Array], number: int) -> Array:
        """The gradient of evaluation `number`, which was made at `place`."""
        if number != self._evaluations:
            self._measured(place)
        return self._gradient()

    def _measured(self, place: tuple[VoxelMap, Array]) -> tuple[float, float]:
        self._evaluations += 1
        self.place = place
        return self._measure()

    @abstractmethod
    def _measure(self) -> tuple[float, float]:
        """(similarity, fraction in view) under the map of ``place``."""

    @abstractmethod
    def _gradient(self) -> Array:
        """Derivative of what was measured last, gathered at the nodes; valid until the next measurement."""
