"""Pyramid of a picture that is computed tile by tile: each tile contributes a quarter of a tile of the next level."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.generic]
Shape = tuple[int, int]


def sizes(shape: Shape, tile: int) -> list[Shape]:
    """Shapes of the levels of a pyramid, down to one that fits into a tile.

    Examples
    --------
    >>> sizes((1000, 400), 256)
    [(1000, 400), (500, 200), (250, 100)]
    """
    found = [shape]
    while max(found[-1]) > tile:
        found.append((-(-found[-1][0] // 2), -(-found[-1][1] // 2)))
    return found


def halved(pixels: Pixels, nearest: bool) -> Pixels:
    """Downsample by two: mean or first of every two by two pixels; fewer at an odd end.

    Parameters
    ----------
    pixels : (n, m, channels) array
        Integers are rounded.
    nearest : bool
        For labels.

    Examples
    --------
    >>> halved(np.array([[0, 2, 5], [2, 4, 7]], np.uint8)[..., None], False)[..., 0].tolist()
    [[2, 6]]
    """
    if nearest:
        return pixels[::2, ::2]
    odd = [(0, n % 2) for n in pixels.shape[:2]]
    even = np.pad(pixels, (*odd, (0, 0)), mode="edge")
    n, m, channels = even.shape
    mean = even.reshape(n // 2, 2, m // 2, 2, channels).mean((1, 3), dtype=np.float64)
    return np.asarray((np.rint(mean) if pixels.dtype.kind in "iu" else mean).astype(pixels.dtype))


class Ladder:
    """The tiles of every level of a plane, from full resolution down; pixels for coarser levels are stored on disk.

    Parameters
    ----------
    shape : (int, int)
        Shape at full resolution.
    tile : int
        Edge of a tile in pixels, even.
    channels : int
    dtype : numpy dtype
    nearest : bool
        See :func:`halved`.
    folder : Path
        Folder of the temporary files; they are unnamed and vanish with this object.
    """

    def __init__(
        self,
        shape: Shape,
        tile: int,
        channels: int,
        dtype: np.dtype[np.generic],
        nearest: bool,
        folder: Path,
    ) -> None:
        self.sizes, self.tile, self._nearest = sizes(shape, tile), tile, nearest
        self._block = np.zeros((tile // 2, tile // 2, channels), dtype)
        self._waiting = [tempfile.TemporaryFile(dir=folder) for _ in self.sizes[1:]]

    def __enter__(self) -> Ladder:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._waiting:
            file.close()

    def tiles(
        self, number: int, make: Callable[[tuple[slice, slice]], Pixels] | None = None
    ) -> Iterator[tuple[tuple[slice, slice], Pixels]]:
        """The tiles of a level, row by row, truncated at the ends.

        Parameters
        ----------
        number : int
            Level, 0 for full resolution; every level must be completed before the next.
        make : callable, optional
            For full resolution: tile -> pixels.
        """
        rows, columns = self.sizes[number]
        for top in range(0, rows, self.tile):
            for left in range(0, columns, self.tile):
                place = (
                    slice(top, min(top + self.tile, rows)),
                    slice(left, min(left + self.tile, columns)),
                )
                pixels = self._fetched(number, place) if make is None else make(place)
                if number < len(self._waiting):
                    self._keep(number, place, halved(pixels, self._nearest))
                yield place, pixels

    def _offset(self, number: int, row: int, column: int) -> int:
        across = -(-self.sizes[number][1] // self.tile)
        return (row * across + column) * self._block.nbytes

    def _keep(self, number: int, place: tuple[slice, slice], quarter: Pixels) -> None:
        """Store the contribution of a tile to the next level."""
        block = np.zeros_like(self._block)
        block[: quarter.shape[0], : quarter.shape[1]] = quarter
        file = self._waiting[number]
        file.seek(self._offset(number, place[0].start // self.tile, place[1].start // self.tile))
        file.write(block.tobytes())

    def _fetched(self, number: int, place: tuple[slice, slice]) -> Pixels:
        """A tile, from up to four contributions of the finer level."""
        half, (above_rows, above_columns) = self.tile // 2, self.sizes[number - 1]
        whole = np.zeros((self.tile, self.tile, self._block.shape[2]), self._block.dtype)
        first = [2 * (part.start // self.tile) for part in place]
        for row, column in np.ndindex(2, 2):
            r, c = first[0] + row, first[1] + column
            if r * self.tile < above_rows and c * self.tile < above_columns:
                file = self._waiting[number - 1]
                file.seek(self._offset(number - 1, r, c))
                block = np.frombuffer(file.read(self._block.nbytes), self._block.dtype)
                whole[row * half : (row + 1) * half, column * half : (column + 1) * half] = (
                    block.reshape(self._block.shape)
                )
        rows, columns = (part.stop - part.start for part in place)
        return whole[:rows, :columns]
