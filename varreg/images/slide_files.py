"""Slide files: recognition, opening, and reading of one resolution level as a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .image_file import ImageFile
from .pyramid import Pyramid
from .stored import Stored
from .voxels import refuse_kind

#: Suffixes of files that are written as pyramids.
SLIDES = (".ome.tif", ".ome.tiff", ".ome.zarr", ".zarr")
_TIFF, _ZARR = (".tif", ".tiff"), ".zarr"


def is_slide(path: str | os.PathLike[str]) -> bool:
    """Whether a file of this name is written as a pyramid.

    >>> is_slide("a.ome.tif"), is_slide("a.tif")
    (True, False)
    """
    return os.fsdecode(path).rstrip("/").lower().endswith(SLIDES)


def may_be_pyramid(path: str | os.PathLike[str]) -> bool:
    """Whether a file of this name can be opened as a pyramid.

    >>> may_be_pyramid("a.tif"), may_be_pyramid("a.ome.zarr"), may_be_pyramid("a.png")
    (True, True, False)
    """
    return os.fsdecode(path).rstrip("/").lower().endswith((*_TIFF, _ZARR))


@contextmanager
def open_pyramid(given: ImageFile, argument: str, function: str) -> Iterator[Pyramid]:
    """Open a slide.

    Parameters
    ----------
    given : ImageFile
        A TIFF, or the folder of an OME-Zarr; its `spacing` is that of full resolution, by default as stated in the file.
    argument, function : str
        Names for the messages.

    Yields
    ------
    Pyramid
        With one level, if the file is not a pyramid.

    Raises
    ------
    InputError
        If it is not one 2D picture.
    BackendError
        If it is an OME-Zarr and zarr is not installed.
    Exception
        Any exception of a decoder; :func:`varreg.images.reading.read_path` converts it.
    """
    place, spacing = Path(os.fsdecode(given)).expanduser(), None
    if given.spacing is not None:
        down, across = np.broadcast_to(given.spacing, 2).tolist()
        spacing = down, across
    names = {"argument": argument, "function": function}
    if place.name.lower().endswith(_ZARR):
        from . import zarr_levels

        yield zarr_levels.opened(place, spacing, **names)
        return
    from . import tiff_levels

    with tiff_levels.opened(place, spacing, **names) as pyramid:
        yield pyramid


def has_levels(path: Path) -> bool:
    """Whether a file holds several resolution levels, or is an OME-Zarr."""
    if path.name.lower().endswith(_ZARR):
        return True
    if path.suffix.lower() not in _TIFF:
        return False
    import tifffile

    with tifffile.TiffFile(path) as file:
        return len(file.series) > 0 and len(file.series[0].levels) > 1


def read_level(path: Path, given: ImageFile, argument: str, function: str) -> Stored:
    """One resolution level of a slide, with all its channels or the selected one.

    Parameters
    ----------
    path : Path
    given : ImageFile
        Selects level and channel.
    argument, function : str
        Names for the messages.

    Returns
    -------
    Stored
        Rows by columns, with channels last if there are several; always with an affine, as the levels have one.

    Raises
    ------
    InputError
        If there is no such level or channel, or several channels that are not colours.
    """
    names = {"argument": argument, "function": function}
    with open_pyramid(given, **names) as pyramid:
        number = pyramid.level(given.level, **names)
        grid, pixels = pyramid.levels[number].grid, pyramid.pixels(number)
    refuse_kind(pixels.dtype, **names, received=path.name)
    chosen = _of_channel(pixels, given.channel, pyramid, **names)
    down, across = grid.spacing
    size = (
        f"{down:.4g} x {across:.4g} mm"
        if pyramid.sized
        else f"unknown size (1 mm in the full size, so {down:.4g} mm)"
    )
    note = f"`{argument}` was taken in size {number} of {len(pyramid.levels)}: {grid.shape[0]} x {grid.shape[1]} pixels of {size}."
    return Stored(chosen, grid.affine, path.name, notes=(note,))


def _of_channel(
    pixels: NDArray[np.generic], channel: int | None, pyramid: Pyramid, argument: str, function: str
) -> NDArray[np.generic]:
    if channel is None and (pyramid.coloured or pyramid.channels == 1):
        return pixels[..., 0] if pyramid.channels == 1 else pixels
    if channel is None or not 0 <= channel < pyramid.channels:
        problem = "say which to take" if channel is None else f"there is none of number {channel}"
        raise InputError(
            f"{function}: `{argument}` is {pyramid.name!r} with channels 0 to {pyramid.channels - 1}; {problem}: "
            "varreg.ImageFile(path, channel=0) (command line: --channel)."
        )
    return pixels[..., channel]
