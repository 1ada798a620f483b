"""Data structures of the kernels: named tuples of arrays, common to all backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
#: Rows of the moving image per axis that share one record of their content.
PATCH = 8


class Moving(NamedTuple):
    """The moving image of one level."""

    image: Array  # (p, q, r), in bins; cubic B-spline coefficients if cubic
    mask: Array  # (p, q, r) weights in [0, 1], or size 0 without a mask
    limit: Array  # (3,) last cell of each axis, max(n - 2, 0), in the precision of the image
    content: Array  # (p / PATCH, q / PATCH, 2) first and last voxel above `low` in patches of rows
    cubic: bool
    low: float  # range of the image; cubic values are compressed to within one bin of it
    high: float


class VoxelMap(NamedTuple):
    """Map fixed voxel i -> moving voxel W (i, 1) + V u(i), u linear between nodes."""

    index: NDArray[np.uint32]  # type: ignore[assignment]  # (2, planes + rows + n) interpolation tables of the three axes
    weight: Array  # (2, planes + rows + n)
    linear: Array  # (3, 4) W
    displacement_matrix: Array  # (3, 3) V
    coordinate: Array  # (largest axis,) 0, 1, 2, ...


class Workspace(dict):  # type: ignore[type-arg]
    """Arrays of arbitrary content that a backend reuses in subsequent evaluations.

    Repeated allocation of large arrays would cause page faults.
    """

    def __init__(self) -> None:
        super().__init__()
        self.results: dict[str, tuple[tuple[Any, ...], Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any) -> Array:
        """Array of a given name, allocated if it does not exist or does not fit."""
        found = self.get(name)
        if found is None or found.shape != shape or found.dtype != dtype:
            found = self[name] = np.empty(shape, dtype)
        return found

    def once(self, name: str, sources: tuple[Any, ...], compute: Callable[[], Any]) -> Any:
        """Cached result of a computation, repeated if any of its source objects is a different one."""
        before, result = self.results.get(name, ((), None))
        if len(before) != len(sources) or any(
            a is not b for a, b in zip(before, sources, strict=True)
        ):
            result = compute()
            self.results[name] = sources, result
        return result


class HistogramRows(NamedTuple):
    """The fixed image for joint histograms: the row of a table to which each voxel contributes."""

    occupied: NDArray[np.uint8]  # (planes, rows) whether a row has voxels inside the mask
    tiles: NDArray[np.int64]  # (T, 4) boxes of rows: first, stop plane; first, stop row
    group: NDArray[np.int64]  # (T,) group of each tile; tiles of one group share their tables
    first_tile: NDArray[np.int64]  # (G + 1,) first tile of each group, and the number of tiles
    voxels: Array  # (T, height) number of voxels in each row of the tables of a tile, or the sum of their weights
    weight: Array  # (planes, rows, n) float32 weights of the voxels in [0, 1]; size 0 if all are 1
    # at the end: Numba 0.60 ignores the first 40 bytes when it distinguishes the types of long tuples, and
    # this array occurs with two types
    row: NDArray[Any]  # (planes, rows, n) row within the tables of its tile; -1 outside the mask
    height: int  # rows of the tables of a group: regions along the last axis x bins
    bins: int


class Warped(NamedTuple):
    """Buffers for the warped image of one level, allocated once."""

    value: Array  # (planes, rows, n) moving value in bins
    weight: Array  # (planes, rows, n) in [0, 1], valid for rows that are not full
    full: NDArray[np.uint8]  # (planes * rows,) rows whose weights are all 1
    slope: Array  # (planes, rows, n) dE/dvalue
    weight_slope: Array  # (planes, rows, n) dE/dweight, valid for rows that are not full

    @classmethod
    def empty(cls, shape: tuple[int, ...], dtype: np.dtype) -> Warped:
        images = [np.zeros(shape, dtype) for _ in range(4)]
        full = np.zeros(shape[0] * shape[1], np.uint8)
        return cls(images[0], images[1], full, images[2], images[3])


class Windows(NamedTuple):
    """Gaussian windows of the per-pixel estimator."""

    reach: int  # bins of positive weight on either side
    precision: float  # 1 / (2 sigma^2), sigma in bins
