"""Resolution levels of a slide in a TIFF, with random access: only the tiles of a region are read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..geometry.grid import Grid
from .pixel_sizes import pixel_size
from .pyramid import Level, Pyramid, Read, smaller

_JPEG_TABLES = 347


@contextmanager
def opened(
    path: Path, spacing: tuple[float, float] | None, argument: str, function: str
) -> Iterator[Pyramid]:
    """A TIFF as a pyramid; see :func:`varreg.images.pyramid.open_pyramid`."""
    import tifffile

    size = pixel_size(path) if spacing is None else spacing
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        _refuse_other(series, path, argument, function)
        sizes = [_shape(level) for level in series.levels]
        full = Grid.with_spacing(sizes[0], (1.0, 1.0) if size is None else size)
        levels = [
            Level(full if number == 0 else smaller(full, shape), _reader(level, path))
            for number, (level, shape) in enumerate(zip(series.levels, sizes, strict=True))
        ]
        samples, planes = _along(series, "S"), _along(series, "C")
        yield Pyramid(
            path.name, tuple(levels), samples * planes, series.dtype, samples > 1, size is not None
        )


def _refuse_other(series: Any, path: Path, argument: str, function: str) -> None:
    """Refuse time, depth and several pages, and colours combined with channels."""
    others = {
        a: n for a, n in zip(series.axes, series.shape, strict=True) if a not in "YXSC" and n > 1
    }
    both = _along(series, "S") > 1 and _along(series, "C") > 1
    if others or both or "Y" not in series.axes or "X" not in series.axes:
        raise InputError(
            f"{function}: `{argument}` is {str(path)!r} with axes {series.axes} of {series.shape}; it must be one 2D picture in "
            "grey, colour or channels. Save a single plane."
        )


def _along(series: Any, axis: str) -> int:
    return int(series.shape[series.axes.index(axis)]) if axis in series.axes else 1


def _shape(series: Any) -> tuple[int, int]:
    return _along(series, "Y"), _along(series, "X")


def _reader(series: Any, path: Path) -> Read:
    """Reader of regions of one level, with one page per channel."""
    pages = list(series.pages)

    def read(rows: slice, columns: slice) -> NDArray[np.generic]:
        return np.concatenate([_region(page, path, rows, columns) for page in pages], axis=-1)

    return read


def _region(page: Any, path: Path, rows: slice, columns: slice) -> NDArray[np.generic]:
    """A region of a page, (n, m, samples)."""
    frame = page.keyframe
    height, width = frame.imagelength, frame.imagewidth
    if page.is_memmappable:  # as fast as tiles, whatever the strips
        shape = (height, width, -1) if frame.planarconfig == 1 else (-1, height, width)
        known = math.prod(frame.shape)
        whole = np.memmap(
            path,
            frame._dtype.newbyteorder(page.parent.byteorder),
            "r",
            page.dataoffsets[0],
            (known,),
        ).reshape(shape)
        part = (
            whole[rows, columns]
            if frame.planarconfig == 1
            else np.moveaxis(whole[:, rows, columns], 0, -1)
        )
        return np.array(part, dtype=frame.dtype)
    down, across = (
        (frame.tilelength, frame.tilewidth) if frame.is_tiled else (frame.rowsperstrip, width)
    )
    down = min(down, height)
    count = math.ceil(height / down), math.ceil(width / across)
    result = np.zeros(
        (rows.stop - rows.start, columns.stop - columns.start, frame.samplesperpixel), frame.dtype
    )
    separate = frame.samplesperpixel if frame.planarconfig == 2 else 1
    for sample in range(separate):
        out = result[..., sample : sample + 1] if separate > 1 else result
        for row in range(rows.start // down, math.ceil(rows.stop / down)):
            for column in range(columns.start // across, math.ceil(columns.stop / across)):
                number = (sample * count[0] + row) * count[1] + column
                _paste(
                    out,
                    _segment(page, number),
                    row * down - rows.start,
                    column * across - columns.start,
                )
    return result


def _segment(page: Any, number: int) -> NDArray[np.generic] | None:
    """A tile or strip, (n, m, samples); None if it is omitted in the file."""
    frame, handle = page.keyframe, page.parent.filehandle
    length = page.databytecounts[number]
    data = None
    if length:
        handle.seek(page.dataoffsets[number])
        data = handle.read(length)
    tables = frame.tags.get(_JPEG_TABLES)
    given = {} if tables is None else {"jpegtables": tables.value}
    segment, _, shape = frame.decode(data, number, **given)
    return None if segment is None else segment[0, : shape[1], : shape[2]]


def _paste(out: NDArray[Any], segment: NDArray[Any] | None, row: int, column: int) -> None:
    """Copy a segment into a region, its first pixel at `row`, `column` of it."""
    if segment is None:
        return
    top, left = max(row, 0), max(column, 0)
    bottom = min(row + segment.shape[0], out.shape[0])
    right = min(column + segment.shape[1], out.shape[1])
    if top < bottom and left < right:
        out[top:bottom, left:right] = segment[
            top - row : bottom - row, left - column : right - column
        ]
