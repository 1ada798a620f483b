"""Smaller sizes of a picture that is made tile by tile: each tile leaves a quarter of it for the next size."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.generic]
Shape = tuple[int, int]


def sizes(shape: Shape, tile: int) -> list[Shape]:
    """The sizes of a pyramid, down to one that fits into a tile.

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
    """Every two by two pixels as one: their mean, or the first of them; at an odd end fewer.

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
    """The tiles of every size of a plane, from the full size down; what waits for a smaller size waits on disk.

    Parameters
    ----------
    shape : (int, int)
        Of the full size.
    tile : int
        Edge of a tile in pixels, even.
    channels : int
    dtype : numpy dtype
    nearest : bool
        See :func:`halved`.
    folder : Path
        Where the files that wait are; they have no name and end with this object.
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
        """The tiles of a size, row by row, cut at its ends.

        Parameters
        ----------
        number : int
            0 is the full size; every size must have been gone through before the next.
        make : callable, optional
            Of the full size: tile -> pixels.
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
        """Put what a tile of a size leaves for the next."""
        block = np.zeros_like(self._block)
        block[: quarter.shape[0], : quarter.shape[1]] = quarter
        file = self._waiting[number]
        file.seek(self._offset(number, place[0].start // self.tile, place[1].start // self.tile))
        file.write(block.tobytes())

    def _fetched(self, number: int, place: tuple[slice, slice]) -> Pixels:
        """A tile of up to four of the blocks that the size above has left."""
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
