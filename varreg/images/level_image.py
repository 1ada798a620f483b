"""Images of one resolution level: the same field of view with fewer voxels, intensities in [0, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..backends.namespace import on_host
from ..geometry.grid import Grid


@dataclass(frozen=True)
class LevelImage:
    """Image, mask or weights of one resolution level."""

    data: Array  # (*S) float, intensities in [0, 1]
    mask: NDArray[np.bool_] | Array | None  # (*S) share of a voxel inside the mask, or its weight
    grid: Grid
    weighted: bool = False  # whether `mask` holds weights

    @property
    def counts(self) -> NDArray[np.bool_] | Array | None:
        """(*S) the voxels inside the mask, or their weights; None if all have equal weight."""
        return self.mask if self.mask is None or self.weighted else self.mask > 0.5

    @property
    def counted(self) -> NDArray[np.bool_] | None:
        """(*S) the voxels inside the mask, or with positive weight; None if all are."""
        return None if self.mask is None else self.mask > (0 if self.weighted else 0.5)


def level_shape(grid: Grid, spacing: float) -> tuple[int, ...]:
    """Voxels per axis for a spacing as near to `spacing` as possible without refinement."""
    counts = np.round(grid.extent / spacing).astype(int)
    return tuple(int(min(n, max(c, 2))) for n, c in zip(grid.shape, counts, strict=True))


def coarsen(image: LevelImage, spacing: float, kernels: ModuleType, threads: int) -> LevelImage:
    """The image at approximately the given spacing; voxels outside the mask do not enter the averages."""
    return coarsened(image, [spacing], kernels, threads)[0]


def coarsened(
    image: LevelImage, spacings: Sequence[float], kernels: ModuleType, threads: int
) -> list[LevelImage]:
    """The image at approximately each of several spacings, transferred to the device only once."""
    shapes = [level_shape(image.grid, spacing) for spacing in spacings]
    if all(shape == image.grid.shape for shape in shapes):
        return [image for _ in shapes]
    mask = None if image.mask is None else image.mask.astype(image.data.dtype)
    share_there = None if mask is None else kernels.resident(mask)
    there = kernels.resident(image.data if mask is None else image.data * mask)
    found = []
    for shape in shapes:
        if shape == image.grid.shape:
            found.append(image)
            continue
        data, share = _average(there, shape, kernels, threads), None
        if share_there is not None:
            share = _average(share_there, shape, kernels, threads)
            data = np.divide(data, share, out=np.zeros_like(data), where=share > 1e-6)
            data = np.clip(data, 0, 1)
        found.append(LevelImage(data, share, image.grid.resized(shape), image.weighted))
    return found


def coarsened_to(data: Array, shape: tuple[int, ...], kernels: ModuleType, threads: int) -> Array:
    """Averages over the cells of a coarser (or equal) grid of shape `shape` with the same field of view."""
    return _average(kernels.resident(np.ascontiguousarray(data)), shape, kernels, threads)


def _average(data: Array, shape: tuple[int, ...], kernels: ModuleType, threads: int) -> Array:
    """Average an image, computed where the backend computes, and returned on the host."""
    for axis in reversed(range(data.ndim)):
        if data.shape[axis] != shape[axis]:
            start, share = _cells(data.shape[axis], shape[axis])
            data = kernels.average_axis(data, axis, start, share.astype(data.dtype), threads)
    return on_host(data)


@lru_cache(maxsize=64)
def _cells(fine: int, coarse: int) -> tuple[NDArray[np.int64], Array]:
    """First fine voxel of each coarse voxel, and the overlap of each fine voxel with it."""
    edge = np.arange(coarse + 1) * (fine / coarse)
    width = int(np.ceil(fine / coarse)) + 1
    start = np.minimum(np.floor(edge[:-1] + 1e-9).astype(np.int64), fine - width)
    start = np.maximum(start, 0)
    voxel = start[:, None] + np.arange(min(width, fine))
    low, high = np.maximum(voxel, edge[:-1, None]), np.minimum(voxel + 1, edge[1:, None])
    share = np.clip(high - low, 0, None)
    return start, share / share.sum(1, keepdims=True)
