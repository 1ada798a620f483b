"""What a similarity of one level is to the stages and their objectives."""

from __future__ import annotations

from types import ModuleType
from typing import Protocol

import numpy as np

from ..backends.arrays import Array, VoxelMap
from ..geometry.grid import Grid


class Similarity(Protocol):
    """How much alike the fixed image and the moving one under a map are, at one level.

    Attributes
    ----------
    fixed_grid, moving_grid : Grid
        Of the level.
    dtype : dtype
        Precision of images and maps.
    kernels : module
        The backend.
    threads : int
    """

    fixed_grid: Grid
    moving_grid: Grid
    dtype: np.dtype
    kernels: ModuleType
    threads: int

    @property
    def share(self) -> float:
        """Share of the fixed voxels that count that was in view last; nan before the first value."""

    def value(self, where: VoxelMap, nodes: Array) -> float:
        """Similarity (nats, larger is better) with the nodes at `nodes`, (3, a, b, c).

        0 if nothing is in view.
        """

    def gradient(self) -> Array:
        """Its derivative by the moving voxel positions y, gathered at the nodes, (3, a, b, c).

        Belongs to the value computed last, and is valid until the next one.
        """
