"""Image pyramids of slides: several resolution levels, of which regions are read separately.

OME-TIFF and other tiled TIFF are read by tifffile, OME-Zarr by zarr.  A slide is 2D; its world (mm) starts at the
first pixel of full resolution, and pixels of a coarser level are cells of it, so that all levels coincide in space.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.grid import Grid

#: Most pixels of the default level for registration, which then needs about 0.2 GB.
REGISTERED = 2**22
#: Most pixels of a level that is read without explicit choice: about 3 GB.
MOST = 2**26

Read = Callable[[slice, slice], NDArray[np.generic]]


@dataclass(frozen=True, eq=False)
class Level:
    """One resolution level of a slide.

    Attributes
    ----------
    grid : Grid
        Grid of its pixels, mm.
    read : callable
        Rows and columns, slices with start and stop -> (n, m, channels) pixels as stored.
    """

    grid: Grid
    read: Read


@dataclass(frozen=True, eq=False)
class Pyramid:
    """An open slide.

    Attributes
    ----------
    name : str
        File name.
    levels : tuple of Level
        From full resolution to the coarsest.
    channels : int
    dtype : numpy dtype
    coloured : bool
        Whether the channels are colours (and opacity) rather than separate images.
    sized : bool
        Whether the file or the caller states the pixel size; otherwise 1 mm is assumed.
    """

    name: str
    levels: tuple[Level, ...]
    channels: int
    dtype: np.dtype[np.generic]
    coloured: bool
    sized: bool

    def level(self, wanted: int | None, argument: str, function: str) -> int:
        """Index of the requested level, by default the finest that can be registered in about 0.2 GB."""
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
        """All pixels of a level, (n, m, channels)."""
        rows, columns = self.levels[level].grid.shape
        return self.levels[level].read(slice(0, rows), slice(0, columns))


def smaller(full: Grid, shape: tuple[int, int]) -> Grid:
    """The grid of a coarser level, with cells of an integer number of pixels where its shape allows.

    Parameters
    ----------
    full : Grid
        Grid of full resolution.
    shape : (int, int)
        Shape of the coarser level, rounded up or down.

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
