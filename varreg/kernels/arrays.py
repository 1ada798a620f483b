"""What the kernels exchange: plain named tuples of arrays, the same for every backend."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Moving(NamedTuple):
    """The moving image of one level."""

    image: Array  # (p, q, r), in bins; cubic B-spline coefficients if cubic
    mask: Array  # (p, q, r) weights in [0, 1], or size 0 for none
    limit: Array  # (3,) last cell of each axis, max(n - 2, 0), in the precision of the image
    box: NDArray[np.int64]  # (2, 3) first and last voxel above `low` on each axis
    cubic: bool
    low: float  # range of the image; cubic values are bent back to within one bin of it
    high: float


class VoxelMap(NamedTuple):
    """Fixed voxel i -> moving voxel W (i, 1) + V u(i), u linear between nodes."""

    index: NDArray[np.uint32]  # type: ignore[assignment]  # (2, planes + rows + n) two-node tables of the three axes
    weight: Array  # (2, planes + rows + n)
    linear: Array  # (3, 4) W
    spread: Array  # (3, 3) V
    coordinate: Array  # (largest axis,) 0, 1, 2, ...


class Warped(NamedTuple):
    """Buffers for the warped image of one level, allocated once."""

    value: Array  # (planes, rows, n) moving value in bins
    share: Array  # (planes, rows, n) weight in [0, 1], valid for rows that are not full
    full: NDArray[np.uint8]  # (planes * rows,) rows whose weights are all 1
    slope: Array  # (planes, rows, n) dE/dvalue
    share_slope: Array  # (planes, rows, n) dE/dshare, valid for rows that are not full
    kept: dict[str, Array]  # scratch that a backend keeps from one evaluation to the next

    @classmethod
    def empty(cls, shape: tuple[int, ...], dtype: np.dtype) -> Warped:
        images = [np.zeros(shape, dtype) for _ in range(4)]
        full = np.zeros(shape[0] * shape[1], np.uint8)
        return cls(images[0], images[1], full, images[2], images[3], {})

    def scratch(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """An array with any content, allocated once: large ones cost their page faults."""
        found = self.kept.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            found = self.kept[name] = np.empty(shape, dtype)
        return found


class Windows(NamedTuple):
    """Gaussian windows of the per-pixel estimator."""

    reach: int  # bins on either side that carry weight
    precision: float  # 1 / (2 sigma^2), sigma in bins
