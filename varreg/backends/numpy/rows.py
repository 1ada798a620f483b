"""Iteration over the rows of an image, restricted to voxels inside the mask."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Warped

Row = tuple[NDArray, tuple[int, ...], Array, Array]


def rows(fixed: NDArray, warped: Warped) -> Iterator[Row]:
    """For each row: (mask of the row, its index, moving values and weights of the voxels inside the mask)."""
    for number, row in enumerate(np.ndindex(*fixed.shape[:2])):
        live = fixed[row] >= 0
        weight = np.ones(int(live.sum())) if warped.full[number] else warped.weight[row][live]
        yield live, row, warped.value[row][live].astype(float), weight.astype(float)
