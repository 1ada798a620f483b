"""The deformation u of a transform, evaluated at and between voxels; zero if there are no nodes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.namespace import HOST, beside
from ..geometry import field
from ..geometry.displacement import Float, evaluate
from ..geometry.grid import Grid
from ..geometry.resampling import Coordinates, Vectors, affine_coordinates


@dataclass(frozen=True, eq=False)
class Deformation:
    r"""u of :class:`varreg.Transform`.

    Parameters
    ----------
    grid : Grid
        Grid of the fixed image.
    nodes : (d, \*m) array or None
        u in mm along the axes of the grid, on the host or on a device.
    constraint : {"zero-mean", "zero-boundary"}
        See :mod:`varreg.geometry.displacement`.

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.transforms.deformation import Deformation
    >>> Deformation(Grid.with_spacing((8, 8)), np.ones((2, 3, 3)), "zero-mean").on(slice(2, 4)).shape
    (2, 2, 8)
    """

    grid: Grid
    nodes: Float | None
    constraint: str

    def on(self, slab: slice) -> NDArray[np.float32]:
        """u (mm) at the voxels of a slab, (d, k, ...)."""
        if self.nodes is None:
            shape = (self.grid.dim, slab.stop - slab.start, *self.grid.shape[1:])
            return np.zeros(shape, dtype=np.float32)
        return field.expand_slab(self.nodes, self.grid.shape, self.constraint, slab)

    def at(self, voxels: Float) -> Float:
        """u (mm) at (d, ...) voxel coordinates, on their device."""
        if self.nodes is None:
            return np.zeros_like(voxels, dtype=np.float64)
        return evaluate(self.nodes, self.grid.shape, voxels, self.constraint)

    def beside(self, like: Any) -> Deformation:
        """A copy with its nodes on the device of the array `like`, so that they are transferred only once."""
        if self.nodes is None or isinstance(like, np.ndarray):
            return self
        return replace(self, nodes=beside(self.nodes, like))

    def coordinates(self, index: Float, matrix: Float, like: Any = HOST) -> Coordinates:
        """Slab -> index @ i + matrix @ (u(i) / spacing) at its voxels i, on the device of the array `like`."""
        there, shape = self.beside(like), self.grid.shape
        if there.nodes is None:
            return lambda slab: affine_coordinates(index, shape, slab, like=like)
        linear = matrix[:-1, :-1] / self.grid.spacing
        return lambda slab: affine_coordinates(
            index, shape, slab, Vectors(linear, there.on(slab)), like
        )

    def determinant(self) -> NDArray[np.float32]:
        """det(id + grad u) at every voxel by central differences, (*S)."""
        if self.nodes is None:
            return np.ones(self.grid.shape, dtype=np.float32)
        return field.determinant(self.nodes, self.grid.shape, self.grid.spacing, self.constraint)
