"""Base class of similarities at one level: functions of the map with exact analytic gradients."""

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
    """Similarity under one map, with its gradient; results on a device are waited for on access.

    Parameters
    ----------
    similarity : Similarity
    place : (VoxelMap, array)
        The map.
    number : int
        Number of the evaluation.
    measured : Later
        Value and fraction in view.
    """

    def __init__(
        self, similarity: Similarity, place: tuple[VoxelMap, Array], number: int, measured: Later[Measured]
    ) -> None:  # fmt: skip
        self._similarity, self._place, self._number = similarity, place, number
        self._measured = measured

    @property
    def is_known(self) -> bool:
        """Whether the value is available without waiting."""
        return self._measured.is_known

    @property
    def value(self) -> float:
        """Similarity in nats, larger is better; 0 without overlap."""
        return self._measured.result()[0]

    @property
    def in_view(self) -> float:
        """Fraction of the fixed voxels inside the mask which map to moving voxels inside the mask."""
        return self._measured.result()[1]

    def gradient(self) -> Array:
        """Derivative of the value with respect to the moving voxel positions y, backprojected to the nodes, (3, a, b, c).

        The array is valid until the next evaluation of the similarity; after another evaluation the value is recomputed first.
        """
        return self.gradient_later().result()

    def gradient_later(self) -> Later[Array]:
        """The gradient, which may be requested before the value is available."""
        return self._similarity.gradient_at(self._place, self._number)


class Similarity(ABC):
    """Similarity of the fixed image and the warped moving image at one level.

    Subclasses compute value and gradient; this class associates them with maps.

    Parameters
    ----------
    fixed_grid, moving_grid : Grid
        Grids of the two images at the level.
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
        """Similarity under the map `where` with values `nodes`, (3, a, b, c), at the nodes."""
        # copied, as `where` may change before the value is available
        place = where._replace(linear=where.linear.copy()), contiguous(nodes, self.dtype)
        measured = self._measured(place)
        return SimilarityValue(self, place, self._evaluations, measured)

    def gradient_at(self, place: tuple[VoxelMap, Array], number: int) -> Later[Array]:
        """Gradient of evaluation `number`, at the map `place`."""
        if number != self._evaluations:
            self._measured(place).result()
        return self._gradient()

    def _measured(self, place: tuple[VoxelMap, Array]) -> Later[Measured]:
        self._evaluations += 1
        self.place = place
        return self._measure()

    @abstractmethod
    def _measure(self) -> Later[Measured]:
        """(similarity, fraction in view) under the map ``place``."""

    @abstractmethod
    def _gradient(self) -> Later[Array]:
        """Derivative of the last measured value, backprojected to the nodes; valid until the next measurement."""
