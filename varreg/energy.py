"""The similarity of one level as a function of where its nodes are, with its exact gradient."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .displacement import AxisTable, axis_table
from .grid import Grid
from .kernels.arrays import Array, Moving, VoxelMap, Warped
from .mutual_information import Estimate, Estimator
from .options import Options
from .pyramid import Sampled
from .regions import region_counts, region_index


class Matching:
    """Mutual information of one level.

    Parameters
    ----------
    fixed, moving : Sampled
        The two images at this level.
    options : Options
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of images and maps (float32; float64 for derivative checks).
    regional : bool
        Whether each region of the fixed image has a table of its own.
    """

    def __init__(
        self,
        fixed: Sampled,
        moving: Sampled,
        options: Options,
        kernels: ModuleType,
        threads: int,
        dtype: np.dtype | type = np.float32,
        regional: bool = False,
    ) -> None:
        self.kernels, self.threads, self.dtype = kernels, threads, np.dtype(dtype)
        self.fixed_grid, self.moving_grid = fixed.grid, moving.grid
        counts = region_counts(fixed.grid, options.regions if regional else 1)
        self.estimator = Estimator.from_options(options, math.prod(counts))
        inside = None if fixed.mask is None else as_volume(fixed.mask > 0.5)
        region = as_volume(region_index(fixed.grid.shape, counts))
        self.label = self.estimator.label(as_volume(fixed.data).astype(dtype), inside, region)
        self.moving = _moving(moving, self.estimator, options.interpolation == "cubic", self.dtype)
        self.count = int((self.label >= 0).sum())
        self.warped = Warped.empty(self.label.shape, self.dtype)
        self.estimate: Estimate | None = None

    def value(self, where: VoxelMap, nodes: Array) -> float:
        """Mutual information (nats) with the nodes at `nodes`, (3, a, b, c)."""
        self.where, self.nodes = where, np.ascontiguousarray(nodes, dtype=self.dtype)
        self.kernels.warp(self.moving, where, self.nodes, self.warped, self.threads)
        histogram = self.kernels.joint_histogram(
            self.label, self.warped, self.estimator.bins, self.estimator.windows, self.threads,
            self.estimator.regions,
        )  # fmt: skip
        self.estimate = self.estimator(histogram, self.count, self.kernels, self.threads)
        return self.estimate.value

    def gradient(self) -> Array:
        """dMI/d(moving voxel position) gathered at the nodes evaluated last, (3, a, b, c)."""
        estimate = self.estimate
        if estimate is None:
            raise RuntimeError("Matching.gradient needs a value first")
        self.kernels.histogram_slope(
            self.label, self.warped, estimate.slope, self.estimator.windows, self.threads
        )
        return self.kernels.push(self.moving, self.where, self.nodes, self.warped, self.threads)


def voxel_map(
    tables: list[AxisTable], linear: Array, spread: Array, dtype: np.dtype | type
) -> VoxelMap:
    """Pack the map i -> W (i, 1) + V u(i) for the kernels; 2D gets a plane axis that stands still.

    tables: d two-node tables; linear (d, d + 1); spread (d, d).
    """
    dimension = len(tables)
    full_linear, full_spread = np.zeros((3, 4)), np.zeros((3, 3))
    first = 3 - dimension
    full_linear[first:, first:] = linear
    full_spread[first:, first:] = spread
    if dimension == 2:
        tables = [axis_table([0], 1, 1, "zero-mean"), *tables]
    index = np.concatenate([np.stack([t.index0, t.index1]) for t in tables], axis=1)
    weight = np.concatenate([np.stack([t.weight0, t.weight1]) for t in tables], axis=1)
    longest = max(len(t.index0) for t in tables)
    return VoxelMap(
        np.ascontiguousarray(index, dtype=np.uint32),
        np.ascontiguousarray(weight, dtype=dtype),
        full_linear.astype(dtype),
        full_spread.astype(dtype),
        np.arange(longest, dtype=dtype),
    )


def index_affine(fixed: Grid, moving: Grid, affine: Array) -> Array:
    """Fixed voxel -> moving voxel, (d, d + 1), of a world affine."""
    return (np.linalg.inv(moving.affine) @ affine @ fixed.affine)[:-1]


def as_volume(image: NDArray[Any]) -> NDArray[Any]:
    """(n, m) -> (1, n, m); volumes as they are."""
    return image if image.ndim == 3 else image[None]


def as_volume_field(nodes: Array) -> Array:
    """(2, b, c) -> (3, 1, b, c) with a first component of zero; (3, a, b, c) as it is."""
    if nodes.shape[0] == 3:
        return nodes
    field = np.zeros((3, 1, *nodes.shape[1:]), nodes.dtype)
    field[1:, 0] = nodes
    return field


def from_volume_field(field: Array, dimension: int) -> Array:
    """Undo :func:`as_volume_field`."""
    return field if dimension == 3 else field[1:, 0]


def _moving(image: Sampled, estimator: Estimator, cubic: bool, dtype: np.dtype) -> Moving:
    data = as_volume(estimator.to_bins(image.data.astype(dtype)))
    if cubic:
        from scipy.ndimage import spline_filter1d

        for axis in range(3):
            if data.shape[axis] > 1:
                data = spline_filter1d(data, order=3, axis=axis, mode="mirror", output=dtype)
    empty = np.zeros((0, 0, 0), dtype)
    mask = empty if image.mask is None else as_volume(np.asarray(image.mask, dtype=dtype))
    low, high = estimator.span
    limit = np.maximum(np.array(data.shape) - 2, 0).astype(dtype)
    data = np.ascontiguousarray(data)
    return Moving(data, np.ascontiguousarray(mask), limit, _content(data > low), cubic, low, high)


def _content(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and last index on each axis where anything is inside, (2, 3)."""
    box = np.zeros((2, 3), np.int64)
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        found = np.flatnonzero(inside.any(axis=others))
        box[:, axis] = (found[0], found[-1]) if found.size else (0, -1)
    return box
