"""The similarity of two images at one level as a function of the map, with its exact analytic gradient."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import ModuleType

import numpy as np

from ..backends.arrays import Array, VoxelMap
from ..backends.later import Later
from ..backends.namespace import contiguous
from ..geometry.grid import Grid

Measured = tuple[float, float]  # similarity, fraction in view


class SimilarityValue:
    """The similarity under one map, with its gradient; on a device waited for when it is looked at.

    Parameters
    ----------
    similarity : Similarity
    place : (VoxelMap, array)
        The map.
    number : int
        Of the evaluation.
    measured : Later
        Of the value and the fraction in view.
    """

    def __init__(
        self, similarity: Similarity, place: tuple[VoxelMap, Array], number: int, measured: Later[Measured]
    ) -> None:  # fmt: skip
        self._similarity, self._place, self._number = similarity, place, number
        self._measured = measured

    @property
    def is_known(self) -> bool:
        """Whether nothing has to be waited for."""
        return self._measured.is_known

    @property
    def value(self) -> float:
        """In nats, larger is better; 0 if nothing is in view."""
        return self._measured.result()[0]

    @property
    def in_view(self) -> float:
        """Fraction of the fixed voxels inside the mask which map to moving voxels inside the mask."""
        return self._measured.result()[1]

    def gradient(self) -> Array:
        """Derivative of the value by the moving voxel positions y, gathered at the nodes, (3, a, b, c).

        Valid until the similarity is evaluated again; measured again if it has been evaluated elsewhere since.
        """
        return self.gradient_later().result()

    def gradient_later(self) -> Later[Array]:
        """The gradient, which may be asked for before the value is there."""
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
        # `where` may be changed before the value is there
        place = where._replace(linear=where.linear.copy()), contiguous(nodes, self.dtype)
        measured = self._measured(place)
        return SimilarityValue(self, place, self._evaluations, measured)

    def gradient_at(self, place: tuple[VoxelMap, Array], number: int) -> Later[Array]:
        """The gradient of evaluation `number`, which was made at `place`."""
        if number != self._evaluations:
            self._measured(place).result()
        return self._gradient()

    def _measured(self, place: tuple[VoxelMap, Array]) -> Later[Measured]:
        self._evaluations += 1
        self.place = place
        return self._measure()

    @abstractmethod
    def _measure(self) -> Later[Measured]:
        """(similarity, fraction in view) under the map of ``place``."""

    @abstractmethod
    def _gradient(self) -> Later[Array]:
        """Derivative of what was measured last, gathered at the nodes; valid until the next measurement."""
