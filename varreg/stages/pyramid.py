"""Image levels: the same fields of view with fewer voxels, coarse to fine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from ..backends.arrays import Array
from ..geometry.grid import Grid
from ..options.options import Options

#: The coarsest level has between this many voxels and twice as many along a typical axis.
COARSEST = 40
#: Nodes of the displacement grid per smoothness length.
NODES_PER_LENGTH = 1
#: Share of the geometric mean extent that the smoothness length takes by default.
LENGTH_SHARE = 0.05


@dataclass(frozen=True)
class Sampled:
    """One image at one level."""

    data: Array  # (*S) float, intensities in [0, 1]
    mask: NDArray[np.bool_] | Array | None  # (*S) share of each voxel inside the mask
    grid: Grid


def level_factors(grid: Grid, options: Options) -> tuple[float, ...]:
    """Coarsening factors, coarse to fine: (4, 2, 1) for 224 x 224."""
    if options.levels is not None:
        return options.levels
    typical = float(np.exp(np.mean(np.log(grid.extent)))) / float(grid.spacing.min())
    count = max(int(np.floor(np.log2(typical / COARSEST))), 0)
    return tuple(float(2**k) for k in range(count, -1, -1))


def level_shape(grid: Grid, spacing: float) -> tuple[int, ...]:
    """Voxels per axis so that spacing comes as near to `spacing` as it can without refining."""
    counts = np.round(grid.extent / spacing).astype(int)
    return tuple(int(min(n, max(c, 2))) for n, c in zip(grid.shape, counts, strict=True))


def node_shape(grid: Grid, options: Options) -> tuple[int, ...]:
    """Nodes of the displacement grid: every voxel for the H1 energy, else at most ell apart.

    Their numbers are good for Fourier transforms.
    """
    length = smoothness_length(grid, options)
    if length == 0:
        return grid.shape
    counts = level_shape(grid, max(float(grid.spacing.min()), length / NODES_PER_LENGTH))
    fast = (next_fast_len(count, real=True) for count in counts)
    return tuple(min(n, count) for n, count in zip(grid.shape, fast, strict=True))


def smoothness_length(grid: Grid, options: Options) -> float:
    """ell in mm: the option, or a share of the field of view."""
    if options.smoothness_length is not None:
        return float(options.smoothness_length)
    return LENGTH_SHARE * float(np.exp(np.mean(np.log(grid.extent))))


def iteration_budget(options: Options, level: int, levels: int, dimension: int) -> int:
    """Largest number of iterations at one of some levels (0 is the coarsest).

    Of fewer levels than numbers the finest have the last ones; further levels have the last.
    """
    budget = options.for_dimension(dimension).iterations
    assert budget is not None
    if not isinstance(budget, tuple):
        return budget
    place = level + max(len(budget) - levels, 0)
    return budget[min(place, len(budget) - 1)]


def smoothness_weight(options: Options, dimension: int) -> float:
    """mu: the option, or what the dimension decides."""
    weight = options.for_dimension(dimension).smoothness_weight
    assert weight is not None
    return weight


def unit_intensities(data: Array, limits: tuple[float, float] | None) -> Array:
    """Intensities scaled so that `limits` become 0 and 1, clipped beyond; float32, in C order."""
    low, high = limits if limits is not None else robust_range(data)
    if not 1e-30 < high - low < 1e30 or abs(low) > 1e30:  # beyond what float32 can subtract
        with np.errstate(over="ignore"):
            return np.clip((data.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)
    scaled = np.subtract(data, np.float32(low), dtype=np.float32, order="C")
    scaled *= np.float32(1 / (high - low))
    return np.clip(scaled, 0, 1, out=scaled)


def robust_range(data: Array) -> tuple[float, float]:
    """(0.1 percentile of all voxels, 99.8 percentile of the foreground).

    Foreground is what lies above a hundredth of the range.  A strided sample serves large images.
    """
    sample = data.reshape(-1)
    sample = sample[:: max(1, sample.size // 500_000)]
    low = float(np.percentile(sample, 0.1))
    foreground = sample[sample > low + 0.01 * (float(sample.max()) - low)]
    high = float(np.percentile(foreground, 99.8)) if foreground.size else low
    if not high > low:
        low, high = float(data.min()), float(data.max())
    return low, high


def coarsen(image: Sampled, spacing: float, kernels: ModuleType, threads: int) -> Sampled:
    """The image at (about) another spacing; masked-out voxels do not bleed into the average."""
    shape = level_shape(image.grid, spacing)
    if shape == image.grid.shape:
        return image
    grid = image.grid.resized(shape)
    if image.mask is None:
        return Sampled(_average(image.data, shape, kernels, threads), None, grid)
    share = _average(image.mask.astype(image.data.dtype), shape, kernels, threads)
    total = _average(image.data * image.mask, shape, kernels, threads)
    data = np.divide(total, share, out=np.zeros_like(total), where=share > 1e-6)
    return Sampled(np.clip(data, 0, 1), share, grid)


def _average(data: Array, shape: tuple[int, ...], kernels: ModuleType, threads: int) -> Array:
    for axis in reversed(range(data.ndim)):
        if data.shape[axis] != shape[axis]:
            start, share = _cells(data.shape[axis], shape[axis])
            data = kernels.average_axis(data, axis, start, share.astype(data.dtype), threads)
    return data


@lru_cache(maxsize=64)
def _cells(fine: int, coarse: int) -> tuple[NDArray[np.int64], Array]:
    """First fine voxel of each coarse voxel, and the share of each fine voxel in it."""
    edge = np.arange(coarse + 1) * (fine / coarse)
    width = int(np.ceil(fine / coarse)) + 1
    start = np.minimum(np.floor(edge[:-1] + 1e-9).astype(np.int64), fine - width)
    start = np.maximum(start, 0)
    voxel = start[:, None] + np.arange(min(width, fine))
    low, high = np.maximum(voxel, edge[:-1, None]), np.minimum(voxel + 1, edge[1:, None])
    share = np.clip(high - low, 0, None)
    return start, share / share.sum(1, keepdims=True)
