"""Computation of one tile: only the required part of the source is read, up to a limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..geometry.label_resampling import resampled_labels
from ..images.pyramid import Level
from ..images.warping import warped
from .coordinates import Tile, TileMap

#: Source pixels in memory at a time; a tile that needs more is divided into quarters.
HELD = 2**21
_SMALLEST = 16  # pixels: smaller tiles are not divided

Pixels = NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Sampler:
    """Computes tiles of the warped picture.

    Parameters
    ----------
    place : TileMap
        Map to the pixels of the level.
    level : Level
        Level of the source.
    dtype : numpy dtype
        Data type of the pixels.
    kind : {"linear", "nearest", "labels"}
        "labels" is the label with the largest interpolated fraction.
    fill : tuple of float
        Value of each channel outside the source.
    threads : int or None
        The result does not depend on it.
    """

    place: TileMap
    level: Level
    dtype: np.dtype[np.generic]
    kind: str
    fill: tuple[float, ...]
    threads: int | None = None

    def __call__(self, tile: Tile) -> Pixels:
        """The pixels of a tile, (n, m, channels) as stored."""
        points = self.place(tile)
        box = self._needed(points)
        count = 1
        for part in box:
            count *= part.stop - part.start
        rows, columns = (part.stop - part.start for part in tile)
        if count > HELD and max(rows, columns) > _SMALLEST:
            return self._in_quarters(tile)
        result = np.empty((rows, columns, len(self.fill)), self.dtype)
        if count == 0:
            result[:] = np.array(self.fill).astype(self.dtype)
            return result
        source = self.level.read(*box)
        points -= np.array([part.start for part in box], np.float32).reshape(2, 1, 1)
        for channel, fill in enumerate(self.fill):
            values = np.ascontiguousarray(source[..., channel])
            result[..., channel] = self._read(values, points, fill)
        return result

    def _needed(self, points: NDArray[np.float32]) -> Tile:
        """The part of the source needed for points: their pixels and one more on either side, empty if all are outside."""
        parts = []
        for coordinate, size in zip(points, self.level.grid.shape, strict=True):
            low, high = float(coordinate.min()), float(coordinate.max())
            # an even start: ties of nearest-neighbour interpolation are resolved to even pixels
            start = max(int(np.floor(low)) - 1, 0) // 2 * 2
            stop = min(int(np.ceil(high)) + 2, size)
            parts.append(slice(start, max(start, stop)))
        return parts[0], parts[1]

    def _in_quarters(self, tile: Tile) -> Pixels:
        halves = []
        for part in tile:
            middle = (part.start + part.stop + 1) // 2
            ends = [slice(part.start, middle), slice(middle, part.stop)]
            halves.append([end for end in ends if end.start < end.stop])
        rows = [np.concatenate([self((r, c)) for c in halves[1]], axis=1) for r in halves[0]]
        return np.concatenate(rows, axis=0)

    def _read(self, values: Pixels, points: NDArray[np.float32], fill: float) -> Pixels:
        """One channel at points; integers are rounded."""
        shape = points.shape[1:]
        at: Callable[[slice], NDArray[np.float32]] = lambda slab: points[:, slab].copy()  # noqa: E731
        if self.kind == "labels":
            return resampled_labels(values, shape, at, "linear", int(fill))
        whole = values.dtype.kind in "iu"
        if not (whole and self.kind == "nearest"):
            values = values.astype(np.float32)
        found = warped(values, None, shape, at, self.kind, fill, self.threads)
        if whole and self.kind == "linear":
            limits = np.iinfo(str(self.dtype))
            return np.clip(np.rint(found), limits.min, limits.max)
        return found
