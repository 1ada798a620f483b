"""Pyramids of slides: one picture in several sizes, of which regions are read without the rest.

OME-TIFF and other tiled TIFF by tifffile, OME-Zarr by zarr.  A slide is 2D, its world (mm) begins at the first pixel
of the full size, and the pixels of a smaller size are cells of it, so that all sizes show the same place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.grid import Grid

#: Pixels of the size that is registered unless another is named: some 0.2 GB in all.
REGISTERED = 2**22
#: Pixels beyond which no size is taken unasked: some 3 GB.
MOST = 2**26

Read = Callable[[slice, slice], NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Level:
    """One size of a slide.

    Attributes
    ----------
    grid : Grid
        Where its pixels are, mm.
    read : callable
        Rows and columns, slices with start and stop -> (n, m, channels) pixels as stored.
    """

    grid: Grid
    read: Read


@dataclass(frozen=True, eq=False)
class Pyramid:
    """A slide that is open.

    Attributes
    ----------
    name : str
        Its file name.
    levels : tuple of Level
        From the full size down.
    channels : int
    dtype : numpy dtype
    coloured : bool
        Whether the channels are colours (and opacity) rather than images of their own.
    sized : bool
        Whether the file, or the caller, says how large a pixel is; else it is taken to be 1 mm.
    """

    name: str
    levels: tuple[Level, ...]
    channels: int
    dtype: np.dtype[np.generic]
    coloured: bool
    sized: bool

    def level(self, wanted: int | None, argument: str, function: str) -> int:
        """The number of the size that is wanted, by default the finest that a registration takes some 0.2 GB for."""
        count, sizes = len(self.levels), [level.grid.size for level in self.levels]
        if wanted is None:
            fits = [number for number, size in enumerate(sizes) if size <= REGISTERED]
            if not fits and sizes[-1] > MOST:
                raise InputError(
                    f"{function}: `{argument}` is {self.name!r}, whose smallest size has {sizes[-1]} pixels, too many to register "
                    f"unasked (some {50 * sizes[-1] / 1e9:.0f} GB); make a pyramid of it, or name a "
                    "level: varreg.ImageFile(path, level=...) (command line: --level)."
                )
            return fits[0] if fits else count - 1
        if not -count <= wanted < count:
            raise InputError(
                f"{function}: `{argument}` is {self.name!r}, which has {count} sizes; `level` must be from 0, the full size, to "
                f"{count - 1}; got {wanted}."
            )
        return wanted % count

    def pixels(self, level: int) -> NDArray[np.generic]:
        """All pixels of a size, (n, m, channels)."""
        rows, columns = self.levels[level].grid.shape
        return self.levels[level].read(slice(0, rows), slice(0, columns))


def smaller(full: Grid, shape: tuple[int, int]) -> Grid:
    """The grid of a smaller size, whose pixels are cells of a whole number of pixels where its shape allows that.

    Parameters
    ----------
    full : Grid
        Of the full size.
    shape : (int, int)
        Of the smaller one, rounded up or down.

    Examples
    --------
    >>> smaller(Grid.with_spacing((101, 64)), (50, 32)).affine.tolist()
    [[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]]
    """
    factors = []
    for large, small in zip(full.shape, shape, strict=True):
        whole = round(large / small)
        fits = whole >= 1 and small in (large // whole, -(-large // whole))
        factors.append(float(whole) if fits else large / small)
    step = np.diag([*factors, 1.0])
    step[:-1, -1] = (np.array(factors) - 1) / 2
    return Grid(shape, full.affine @ step)
