"""Slices of a volume as tiles of one sprite, which the browser separates."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .plots.planes import Plane, middle_planes

Float = NDArray[np.floating]
Pixels = NDArray[np.uint8]
Box = tuple[slice, ...]

#: Largest number of slices per plane.
SLICES = 60
#: Longest side of a tile in pixels: for a 2D image, and the maximum for a volume.
SIDE_2D, SIDE_3D = 640, 240
#: Pixels of all tiles of one layer of a volume, before any reduction to the size limit of the page.
PIXELS = 7_000_000


@dataclass(frozen=True)
class Stack:
    """The slices of one plane, and their size in the picture.

    Attributes
    ----------
    plane : Plane
        The middle plane.
    indices : tuple of int
        Positions of the slices along the axis.
    height, width : int
        Size of a tile, in pixels; both axes have the same scale in mm.
    columns : int
        Number of tiles per row of the sprite.
    box : tuple of slice
        Displayed region of the array, along all axes.
    """

    plane: Plane
    indices: tuple[int, ...]
    height: int
    width: int
    columns: int
    box: Box

    @property
    def middle(self) -> int:
        """Index of the slice nearest to the middle plane."""
        away = [abs(index - self.plane.index) for index in self.indices]
        return away.index(min(away))

    @property
    def rows(self) -> int:
        return math.ceil(len(self.indices) / self.columns)

    @property
    def pixels_per_voxel(self) -> float:
        """Scale along the longer side of the tile."""
        down, right = (self.box[axis].stop - self.box[axis].start for axis in self.plane.in_plane)
        return max(self.height / down, self.width / right)

    def cuts(self, array: Float) -> list[Float]:
        """The slices of an (*S) array, resized to the tiles: float64, linear interpolation."""
        shown = array[self.box]
        first = 0 if self.plane.axis is None else self.box[self.plane.axis].start
        return [
            resized(replace(self.plane, index=index - first).cut(shown), self.height, self.width)
            for index in self.indices
        ]

    def mosaic(self, tiles: Sequence[Pixels]) -> Pixels:
        """All tiles in one picture, in rows of `columns`; unused tiles are 0."""
        first = tiles[0]
        whole = np.zeros(
            (self.rows * self.height, self.columns * self.width, *first.shape[2:]), np.uint8
        )
        for position, tile in enumerate(tiles):
            row, column = divmod(position, self.columns)
            top, left = row * self.height, column * self.width
            whole[top : top + self.height, left : left + self.width] = tile
        return whole


def stacks(
    shape: tuple[int, ...], affine: Float, scale: float = 1.0, box: Box | None = None
) -> list[Stack]:
    """The planes of an image: the image itself in 2D, axial, coronal and sagittal slices in 3D.

    Parameters
    ----------
    shape : tuple of int
        (*S).
    affine : (d+1, d+1) array
        Voxel -> world (RAS+ mm).
    scale : float
        Reduction of the tile size, to limit the size of the page.
    box : tuple of slice, optional
        Displayed region, by default all.

    Examples
    --------
    >>> [len(stack.indices) for stack in stacks((40, 50, 90), np.eye(4))]
    [60, 50, 40]
    """
    box = tuple(slice(0, n) for n in shape) if box is None else box
    counts = tuple(part.stop - part.start for part in box)
    spacing = np.linalg.norm(np.asarray(affine)[:-1, :-1], axis=0)
    extent = tuple(float(n * size) for n, size in zip(counts, spacing, strict=True))
    planes = [_moved(plane, box) for plane in middle_planes(counts, affine)]
    if len(planes) == 1:
        return [_stack(planes[0], extent, (0,), SIDE_2D * scale / max(extent), box)]
    chosen = [_indices(box[axis]) for axis in (plane.axis or 0 for plane in planes)]
    area = sum(
        len(indices) * extent[plane.in_plane[0]] * extent[plane.in_plane[1]]
        for plane, indices in zip(planes, chosen, strict=True)
    )
    pixels_per_mm = scale * min(SIDE_3D / max(extent), math.sqrt(PIXELS / area))
    return [
        _stack(plane, extent, indices, pixels_per_mm, box)
        for plane, indices in zip(planes, chosen, strict=True)
    ]


def resized(picture: Float, height: int, width: int) -> Float:
    """Resize a picture, by averaging for reduction and linear interpolation for enlargement."""
    from PIL import Image
    from PIL.Image import Resampling

    values = np.ascontiguousarray(picture, dtype=np.float32)
    if values.shape == (height, width):
        return values.astype(np.float64)
    made = Image.fromarray(values).resize((width, height), Resampling.BILINEAR)
    return np.asarray(made, dtype=np.float64)


def data_uri(pixels: Pixels, quality: int | None) -> str:
    """The picture as WebP in a data URI; lossless without a quality."""
    from PIL import Image

    file = io.BytesIO()
    options = {"lossless": True} if quality is None else {"quality": quality, "alpha_quality": 70}
    Image.fromarray(pixels).save(file, "WEBP", method=3, **options)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def sprite(stack: Stack, draw: Callable[[int], Pixels], quality: int | None) -> str:
    """The data URI of a sprite of all tiles.

    Parameters
    ----------
    stack : Stack
    draw : callable
        Position of the slice -> (height, width[, channels]) pixels.
    quality : int or None
        See :func:`data_uri`.
    """
    return data_uri(stack.mosaic([draw(k) for k in range(len(stack.indices))]), quality)


def _moved(plane: Plane, box: Box) -> Plane:
    """A plane of the box as a plane of the whole array."""
    return (
        plane if plane.axis is None else replace(plane, index=plane.index + box[plane.axis].start)
    )


def _indices(shown: slice) -> tuple[int, ...]:
    """Evenly spaced slices, including the first and the last, at most SLICES."""
    count = min(shown.stop - shown.start, SLICES)
    return tuple(int(i) for i in np.round(np.linspace(shown.start, shown.stop - 1, count)))


def _stack(
    plane: Plane,
    extent: tuple[float, ...],
    indices: tuple[int, ...],
    pixels_per_mm: float,
    box: Box,
) -> Stack:
    height, width = (max(4, round(extent[axis] * pixels_per_mm)) for axis in plane.in_plane)
    return Stack(plane, indices, height, width, math.ceil(math.sqrt(len(indices))), box)
