"""The similarity of one level as a function of where its nodes are, with its exact gradient."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import PATCH, Array, Moving, Scratch, VoxelMap, Warped
from ..geometry.displacement import AxisTable, axis_table
from ..geometry.grid import Grid
from ..images.level_image import LevelImage
from ..options.options import Options
from .estimator import Estimate, Estimator
from .histogram_rows import label_image
from .regions import region_counts


class Matching:
    """Mutual information of one level.

    Parameters
    ----------
    fixed, moving : LevelImage
        The two images at this level.
    options : Options
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of images and maps (float32; float64 for derivative checks).
    regional : bool
        Whether each region of the fixed image has a table of its own.
    stride : int
        Every how many rows of the fixed image one is compared.
    """

    def __init__(
        self,
        fixed: LevelImage,
        moving: LevelImage,
        options: Options,
        kernels: ModuleType,
        threads: int,
        dtype: np.dtype | type = np.float32,
        regional: bool = False,
        stride: int = 1,
    ) -> None:
        self.kernels, self.threads, self.dtype = kernels, threads, np.dtype(dtype)
        self.fixed_grid, self.moving_grid = fixed.grid, moving.grid
        self.estimator = Estimator.from_options(options)
        inside = None if fixed.mask is None else as_volume(fixed.mask > 0.5)
        values = self.estimator.to_bins(moving.data, self.dtype)
        cubic = options.interpolation == "cubic"
        self.moving = moving_image(values, moving.mask, self.estimator.span, cubic)
        self.scratch = Scratch()
        self.estimate: Estimate | None = None
        if self.estimator.windows is None:
            boxes = options.for_dimension(fixed.grid.dim).regions if regional else 1
            counts = region_counts(fixed.grid, boxes or 1)
            counts = (1,) * (3 - len(counts)) + counts
            shown, bins = as_volume(fixed.data), self.estimator.bins
            self.labels = label_image(shown, bins, counts, inside, stride, self.estimator.span)
            self.count = max(int(self.labels.total.sum()), 1)
        else:
            unit = self.estimator.to_bins(as_volume(fixed.data), self.dtype)
            self.fixed = unit if inside is None else np.where(inside, unit, unit.dtype.type(-1))
            self.warped = Warped.empty(self.fixed.shape, self.dtype)
            self.count = max(int((self.fixed >= 0).sum()), 1)

    @property
    def share(self) -> float:
        """Share of the fixed voxels that count that was in view last; nan before the first value."""
        return math.nan if self.estimate is None else self.estimate.share

    def value(self, where: VoxelMap, nodes: Array) -> float:
        """Mutual information (nats) with the nodes at `nodes`, (3, a, b, c)."""
        self.where, self.nodes = where, np.ascontiguousarray(nodes, dtype=self.dtype)
        self.estimate = self.measure()
        return self.estimate.value

    def gradient(self) -> Array:
        """dMI/d(moving voxel position) gathered at the nodes evaluated last, (3, a, b, c)."""
        if self.estimate is None:
            raise RuntimeError("Matching.gradient needs a value first")
        return self.pull(self.estimate)

    @property
    def place(self) -> tuple[Moving, VoxelMap, Array]:
        """What the kernels need to know of where the moving image is."""
        return self.moving, self.where, self.nodes

    def measure(self) -> Estimate:
        """The similarity where the nodes are now."""
        estimator, kernels = self.estimator, self.kernels
        if estimator.kernel is None:
            return estimator.of_histogram(self._windowed_histogram(), self.count)
        images = (*self.place, self.labels, estimator.kernel)
        mass, value = kernels.mutual_information(*images, self.scratch, self.threads)
        return Estimate(value / self.count, mass / self.count)

    def pull(self, estimate: Estimate) -> Array:
        """The derivative of what was measured last, gathered at the nodes."""
        kernels, windows, threads = self.kernels, self.estimator.windows, self.threads
        if windows is None:
            images = (*self.place, self.labels, self.estimator.kernel, 1 / self.count)
            return kernels.pull_information(*images, self.scratch, threads)
        kernels.windowed_slope(self.fixed, self.warped, estimate.slope, windows, threads)
        return kernels.push(*self.place, self.warped, self.scratch, threads)

    def _windowed_histogram(self) -> Array:
        kernels, windows, bins = self.kernels, self.estimator.windows, self.estimator.bins
        kernels.warp(*self.place, self.warped, self.threads)
        return kernels.windowed_histogram(self.fixed, self.warped, bins, windows, self.threads)


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


def moving_image(
    values: NDArray[Any], mask: NDArray[Any] | None, span: tuple[float, float], cubic: bool
) -> Moving:
    """The moving image for the kernels, in the precision of its values.

    Parameters
    ----------
    values : (*S) array
    mask : (*S) array or None
        Weights in [0, 1].
    span : (float, float)
        Range of the values; the lowest is the background.
    cubic : bool
        Whether it is interpolated by cubic B-splines.
    """
    data, dtype = as_volume(values), values.dtype
    if cubic:
        from scipy.ndimage import spline_filter1d

        for axis in range(3):
            if data.shape[axis] > 1:
                data = spline_filter1d(data, order=3, axis=axis, mode="mirror", output=dtype)
    empty = np.zeros((0, 0, 0), dtype)
    weight = empty if mask is None else as_volume(np.asarray(mask, dtype=dtype))
    limit = np.maximum(np.array(data.shape) - 2, 0).astype(dtype)
    data = np.ascontiguousarray(data)
    content = _content(data > span[0]).astype(dtype)
    return Moving(data, np.ascontiguousarray(weight), limit, content, cubic, *span)


def _content(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """First and last voxel inside, along the last axis, in patches of rows; (n, -1) where none is."""
    planes, rows, n = inside.shape
    first = np.where(inside.any(axis=2), inside.argmax(axis=2), n)
    last = np.where(inside.any(axis=2), n - 1 - inside[:, :, ::-1].argmax(axis=2), -1)
    cuts = [np.arange(0, size, PATCH) for size in (planes, rows)]
    for axis, cut in enumerate(cuts):
        first = np.minimum.reduceat(first, cut, axis=axis)
        last = np.maximum.reduceat(last, cut, axis=axis)
    return np.stack([first, last], axis=-1)
