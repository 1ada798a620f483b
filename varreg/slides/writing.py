"""Writing of pyramids tile by tile: OME-TIFF, and OME-Zarr (OME-NGFF 0.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import Grid
from ..images.zarr_levels import zarr_library
from .blocks import Ladder

Pixels = NDArray[np.generic]
Tile = tuple[slice, slice]
#: Function of a plane: tile -> (n, m, channels) pixels.
Make = Callable[[Tile], Pixels]

_BIG = 2**31  # bytes, from which TIFF needs 64-bit offsets, since compression may be ineffective
_MM = 1000.0  # micrometres
_COLOURS = ("FF0000", "00FF00", "0000FF")


@dataclass(frozen=True, eq=False)
class Written:
    """Format of a picture to be written.

    Parameters
    ----------
    grid : Grid
        Grid at full resolution; axes along those of the array.
    channels : int
    dtype : numpy dtype
    coloured : bool
        Whether channels are colours, in one plane; otherwise each is a separate plane.
    sized : bool
        Whether the pixel size is known.
    nearest : bool
        Whether coarser levels consist of single pixels of the finer level instead of means.
    tile : int
        Edge length of a tile in pixels.
    """

    grid: Grid
    channels: int
    dtype: np.dtype[np.generic]
    coloured: bool
    sized: bool
    nearest: bool
    tile: int

    @property
    def planes(self) -> int:
        """Number of planes; a plane of colours has several channels."""
        return 1 if self.coloured else self.channels

    def ladders(self, stack: ExitStack, folder: Path) -> list[Ladder]:
        """One ladder per plane."""
        shape = self.grid.shape[0], self.grid.shape[1]
        within = self.channels if self.coloured else 1
        given = shape, self.tile, within, self.dtype, self.nearest, folder
        return [stack.enter_context(Ladder(*given)) for _ in range(self.planes)]


def write_tiff(path: Path, picture: Written, makes: list[Make], done: Callable[[], Any]) -> None:
    """Write an OME-TIFF, with coarser levels in sub-files of full resolution.

    Parameters
    ----------
    path : Path
        An existing file is replaced.
    picture : Written
    makes : list of callable
        Function of each plane: tile -> pixels.
    done : callable
        Called after each tile.
    """
    import tifffile

    with ExitStack() as stack:
        ladders = picture.ladders(stack, path.parent)
        shapes = ladders[0].sizes
        bytes_ = picture.grid.size * picture.channels * picture.dtype.itemsize
        file = stack.enter_context(
            tifffile.TiffWriter(path, bigtiff=bytes_ * 4 / 3 > _BIG, ome=True)
        )
        for number, shape in enumerate(shapes):
            given = _first(picture, len(shapes)) if number == 0 else {"subfiletype": 1}
            file.write(
                _tiles(picture, ladders, makes, number, done),
                shape=_stored_shape(picture, shape),
                dtype=picture.dtype,
                tile=(picture.tile, picture.tile),
                photometric="rgb" if picture.coloured and picture.channels > 2 else "minisblack",
                planarconfig="contig" if picture.coloured else None,
                compression="zlib",
                maxworkers=1,
                **_extra(picture),
                **given,
            )


def write_zarr(path: Path, picture: Written, makes: list[Make], done: Callable[[], Any]) -> None:
    """Write an OME-Zarr with axes c, y, x, or y, x.

    For the parameters see :func:`write_tiff`; the folder exists and is empty.
    """
    group = zarr_library().open_group(str(path), mode="a", zarr_format=2)
    axes = ["c"] * (picture.channels > 1) + ["y", "x"]
    with ExitStack() as stack:
        ladders = picture.ladders(stack, path.parent)
        for number, shape in enumerate(ladders[0].sizes):
            front = [picture.channels] if picture.channels > 1 else []
            array = group.create_array(
                str(number),
                shape=(*front, *shape),
                chunks=(
                    *[picture.channels if picture.coloured else 1 for _ in front],
                    picture.tile,
                    picture.tile,
                ),
                dtype=picture.dtype,
                chunk_key_encoding={"name": "v2", "separator": "/"},
            )
            for plane, (ladder, make) in enumerate(zip(ladders, makes, strict=True)):
                for place, pixels in ladder.tiles(number, make if number == 0 else None):
                    if picture.channels == 1:
                        array[place] = pixels[..., 0]
                    else:
                        first = (
                            slice(0, picture.channels)
                            if picture.coloured
                            else slice(plane, plane + 1)
                        )
                        array[(first, *place)] = np.moveaxis(pixels, -1, 0)
                    done()
        group.attrs.update(_described(picture, axes, len(ladders[0].sizes)))


def tile_count(picture: Written) -> int:
    """Number of tiles of all levels and planes, i.e. of calls of `done`."""
    from .blocks import sizes

    shapes = sizes((picture.grid.shape[0], picture.grid.shape[1]), picture.tile)
    return picture.planes * sum(-(-n // picture.tile) * -(-m // picture.tile) for n, m in shapes)


def _tiles(
    picture: Written, ladders: list[Ladder], makes: list[Make], number: int, done: Callable[[], Any]
) -> Iterator[Pixels]:
    """Complete tiles of a level, plane by plane: TIFF has no smaller ones at the ends."""
    for ladder, make in zip(ladders, makes, strict=True):
        for _, pixels in ladder.tiles(number, make if number == 0 else None):
            ends = [(0, picture.tile - n) for n in pixels.shape[:2]]
            whole = np.pad(pixels, (*ends, (0, 0)))
            yield whole if picture.coloured else whole[..., 0]
            done()


def _stored_shape(picture: Written, shape: tuple[int, int]) -> tuple[int, ...]:
    if picture.coloured:
        return (*shape, picture.channels)
    return shape if picture.planes == 1 else (picture.planes, *shape)


def _first(picture: Written, count: int) -> dict[str, Any]:
    """Metadata of full resolution, which apply to all levels."""
    axes = "YXS" if picture.coloured else "YX" if picture.planes == 1 else "CYX"
    metadata: dict[str, Any] = {"axes": axes}
    if picture.sized:
        down, across = (float(size) * _MM for size in picture.grid.spacing)
        metadata |= {
            "PhysicalSizeX": across,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": down,
            "PhysicalSizeYUnit": "µm",
        }
    return {"subifds": count - 1, "metadata": metadata}


def _extra(picture: Written) -> dict[str, Any]:
    return (
        {"extrasamples": ["unassalpha"]} if picture.coloured and picture.channels in (2, 4) else {}
    )


def _described(picture: Written, axes: list[str], count: int) -> dict[str, Any]:
    """The metadata of OME-NGFF."""
    unit = {"unit": "micrometer"} if picture.sized else {}
    kinds = [
        {"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", **unit}
        for a in axes
    ]
    front = [1.0] if "c" in axes else []
    scale = _MM if picture.sized else 1.0
    spacing, origin = picture.grid.spacing * scale, picture.grid.affine[:-1, -1] * scale
    datasets = []
    for number in range(count):
        factor = 2**number
        # a single pixel keeps its position; a mean is at the centre of its pixels
        shift = 0.0 if picture.nearest else (factor - 1) / 2
        places = [
            {"type": "scale", "scale": [*front, *(spacing * factor).tolist()]},
            {
                "type": "translation",
                "translation": [*(0.0 for _ in front), *(origin + shift * spacing).tolist()],
            },
        ]
        datasets.append({"path": str(number), "coordinateTransformations": places})
    metadata: dict[str, Any] = {
        "multiscales": [{"version": "0.4", "name": "", "axes": kinds, "datasets": datasets}]
    }
    if picture.coloured and picture.channels == 3:
        window = {"min": 0, "max": 255, "start": 0, "end": 255}
        metadata["omero"] = {
            "channels": [{"color": c, "active": True, "window": window} for c in _COLOURS]
        }
    return metadata
