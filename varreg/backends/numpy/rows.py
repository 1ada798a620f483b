"""The voxels of an image row by row, of those that the mask holds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Warped

Row = tuple[NDArray, tuple[int, ...], Array, Array]


def rows(fixed: NDArray, warped: Warped) -> Iterator[Row]:
    """The voxels inside the mask, row by row: (which, row, moving value, weight)."""
    for number, row in enumerate(np.ndindex(*fixed.shape[:2])):
        live = fixed[row] >= 0
        weight = np.ones(int(live.sum())) if warped.full[number] else warped.weight[row][live]
        yield live, row, warped.value[row][live].astype(float), weight.astype(float)
