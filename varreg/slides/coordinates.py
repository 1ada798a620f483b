"""Mapped coordinates of the pixels of one tile of a large picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError
from ..geometry.displacement import axis_table
from ..geometry.grid import Grid
from ..geometry.resampling import Vectors, affine_coordinates, voxel_matrix
from ..transforms.transform import Transform

_OBLIQUE = 1e-6  # largest obliqueness, in pixels per pixel

Tile = tuple[slice, slice]


class TileMap:
    """Tile of a target grid -> pixels of a source grid, by a transform whose fixed grid may be another.

    Parameters
    ----------
    transform : Transform
        2D; its displacement is interpolated at the pixels of the target.
    target : Grid
        On the fixed side, with axes along those of the fixed image.
    source : Grid
        On the moving side.

    Raises
    ------
    GeometryError
        If the axes of the target are rotated relative to those of the fixed image.

    Examples
    --------
    >>> grid = Grid.with_spacing((8, 8))
    >>> fine = grid.resized((16, 16))
    >>> TileMap(Transform(grid, grid, np.eye(3)), fine, fine)((slice(4, 5), slice(0, 2))).tolist()
    [[[4.0, 4.0]], [[0.0, 1.0]]]
    """

    def __init__(self, transform: Transform, target: Grid, source: Grid) -> None:
        fixed = transform.fixed
        step = voxel_matrix(target.affine, np.eye(3), fixed.affine)
        aside = np.abs(step[:2, :2] - np.diag(np.diag(step[:2, :2]))).max()
        if aside > _OBLIQUE * np.abs(np.diag(step)).min():
            raise GeometryError(
                "varreg.warp_slide: the axes of `reference` are turned against those of the fixed image; give the fixed slide in "
                "another size."
            )
        self.transform, self.target, self._step = transform, target, step
        self.matrix = voxel_matrix(target.affine, transform.affine, source.affine)
        by_fixed = voxel_matrix(fixed.affine, transform.affine, source.affine)
        self._linear = by_fixed[:-1, :-1] / fixed.spacing

    def __call__(self, tile: Tile) -> NDArray[np.float32]:
        """Source coordinates in pixels, (2, n, m) float32."""
        vectors = None
        if self.transform.nodes is not None:
            vectors = Vectors(self._linear, self._u(tile))
        found = affine_coordinates(self.matrix, self.target.shape, tile, vectors)
        return np.asarray(found)

    def _u(self, tile: Tile) -> NDArray[np.float32]:
        """u (mm) at the pixels of a tile: for equal grids bitwise as from :func:`varreg.geometry.field.expand_slab`."""
        field: NDArray[Any] = np.asarray(self.transform.nodes)
        for axis, part in enumerate(tile):
            count = self.transform.fixed.shape[axis]
            where = self._step[axis, axis] * np.arange(part.start, part.stop) + self._step[axis, 2]
            table = axis_table(where, count, field.shape[axis + 1], self.transform.constraint)
            along = (-1, 1) if axis == 0 else (1, -1)
            lower = np.take(field, table.index0, axis + 1).astype(np.float32)
            upper = np.take(field, table.index1, axis + 1).astype(np.float32)
            field = lower * table.weight0.reshape(along) + upper * table.weight1.reshape(along)
        return field
