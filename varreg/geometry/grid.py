"""Grids of voxels: the only place with conversions between coordinate spaces.

The spaces are *voxel* (array index, 'ij' order, voxel centres at integers), *mm* (voxel x spacing,
along the axes of the array) and *world* (RAS+ millimetres).  Arrays of points have shape ``(d, ...)``,
components first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import GeometryError
from .matrices import checked_affine, checked_shape, checked_spacing, transform_points
from .overlap import fraction_inside


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular lattice of voxels in world space.

    Parameters
    ----------
    shape : tuple of int
        Number of voxels along each of the ``d`` = 2 or 3 axes.
    affine : (d+1, d+1) array
        Homogeneous matrix, voxel -> world (RAS+ mm).  Stored as a read-only float64 copy.

    Raises
    ------
    GeometryError
        If the shape is not 2D or 3D or not positive, or if the affine has the wrong size, is not
        finite, does not have the last row ``0 .. 0 1``, or is singular.

    Examples
    --------
    >>> grid = Grid((4, 6), np.diag([2.0, 1.0, 1.0]))
    >>> grid.extent.tolist()
    [8.0, 6.0]
    >>> grid.voxel_to_world(np.array([3.0, 5.0])).tolist()
    [6.0, 5.0]
    """

    shape: tuple[int, ...]
    affine: np.ndarray

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", checked_shape(self.shape))
        object.__setattr__(self, "affine", checked_affine(self.affine, len(self.shape)))

    @classmethod
    def with_spacing(cls, shape: Sequence[int], spacing: float | Sequence[float] = 1.0) -> Grid:
        """Make a grid aligned with the world axes, with voxel (0, .., 0) at the world origin.

        Parameters
        ----------
        shape : sequence of int
            Number of voxels along each axis.
        spacing : float or sequence of d floats
            Voxel size in mm; `GeometryError` if a size is not positive or their number is not ``d``.

        Returns
        -------
        Grid

        Examples
        --------
        >>> Grid.with_spacing((4, 6), (2.0, 0.5)).spacing.tolist()
        [2.0, 0.5]
        """
        shape = checked_shape(shape)
        return cls(shape, np.diag(np.append(checked_spacing(spacing, len(shape)), 1.0)))

    @property
    def dim(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @cached_property
    def spacing(self) -> np.ndarray:
        """Voxel size along each array axis in mm, shape (d,); read-only."""
        spacing = np.asarray(np.linalg.norm(self.affine[:-1, :-1], axis=0))
        spacing.flags.writeable = False
        return spacing

    @property
    def direction(self) -> np.ndarray:
        """Unit vectors of the array axes in world space, as columns, shape (d, d)."""
        return np.asarray(self.affine[:-1, :-1] / self.spacing)

    @property
    def extent(self) -> np.ndarray:
        """Size of the field of view along each array axis in mm, shape (d,)."""
        return np.asarray(np.array(self.shape) * self.spacing)

    @property
    def centre(self) -> np.ndarray:
        """World coordinates (mm) of the centre of the field of view, shape (d,)."""
        return self.voxel_to_world((np.array(self.shape) - 1) / 2)

    def voxel_to_world(self, points: np.ndarray) -> np.ndarray:
        """Map voxel coordinates to world coordinates.

        Parameters
        ----------
        points : (d, ...) array
            Voxel coordinates, components first; `InputError` if there are not ``d`` of them.

        Returns
        -------
        (d, ...) float64 array
            World coordinates in mm (RAS+).

        Examples
        --------
        >>> Grid.with_spacing((4, 4), 2.0).voxel_to_world(np.array([1.0, 3.0])).tolist()
        [2.0, 6.0]
        """
        return transform_points(self.affine, points)

    def world_to_voxel(self, points: np.ndarray) -> np.ndarray:
        """Map world coordinates to voxel coordinates; the inverse of `voxel_to_world`.

        Parameters
        ----------
        points : (d, ...) array
            World coordinates in mm (RAS+); `InputError` if there are not ``d`` of them.

        Returns
        -------
        (d, ...) float64 array
            Voxel coordinates.

        Examples
        --------
        >>> Grid.with_spacing((4, 4), 2.0).world_to_voxel(np.array([2.0, 6.0])).tolist()
        [1.0, 3.0]
        """
        return transform_points(np.linalg.inv(self.affine), points)

    def coordinates(self) -> np.ndarray:
        """Voxel coordinates of every voxel, shape (d, *shape), float64.

        >>> Grid.with_spacing((2, 2)).coordinates()[1].tolist()
        [[0.0, 1.0], [0.0, 1.0]]
        """
        return np.indices(self.shape, dtype=np.float64)

    def resized(self, shape: Sequence[int]) -> Grid:
        """Grid of another shape with the same field of view.

        Voxels are cells: along an axis, the new voxel ``j`` is at the old voxel coordinate
        ``(j + 0.5) * n_old / n_new - 0.5``, which preserves ``[-0.5, n - 0.5]``.

        Parameters
        ----------
        shape : sequence of d ints
            New number of voxels along each axis; `GeometryError` if there are not ``d`` of them
            or one is not positive.

        Returns
        -------
        Grid

        Examples
        --------
        >>> Grid.with_spacing((4, 4)).resized((2, 2)).affine[0].tolist()
        [2.0, 0.0, 0.5]
        """
        shape = checked_shape(shape)
        if len(shape) != self.dim:
            raise GeometryError(
                f"varreg.Grid.resized: `shape` must have {self.dim} numbers as the grid "
                f"{self.shape} has; got {shape}."
            )
        ratio = np.array(self.shape) / np.array(shape)
        new_to_old = np.diag(np.append(ratio, 1.0))
        new_to_old[:-1, -1] = 0.5 * ratio - 0.5
        return Grid(shape, self.affine @ new_to_old)

    def overlap_fraction(self, other: Grid, affine: np.ndarray | None = None) -> float:
        """Fraction of the voxels of this grid inside the field of view of another grid.

        The fraction is estimated on a fixed lattice of at most 32 voxels per axis, including the border.

        Parameters
        ----------
        other : Grid
            A grid of the same dimension; `GeometryError` otherwise.
        affine : (d+1, d+1) array, optional
            World -> world map (mm) applied to the positions of this grid; identity by default.

        Returns
        -------
        float
            Between 0 and 1.

        Examples
        --------
        >>> grid = Grid.with_spacing((4, 4))
        >>> grid.overlap_fraction(grid, np.array([[1.0, 0, 2], [0, 1, 0], [0, 0, 1]]))
        0.5
        """
        return fraction_inside(self, other, affine)

    def same_space(self, other: Grid, tolerance: float = 1e-4) -> bool:
        """Whether two grids have the same shape and the same voxel positions.

        Parameters
        ----------
        other : Grid
            The grid to compare with.
        tolerance : float
            Largest distance between corresponding corner voxels, in units of the smallest voxel
            edge.  NIfTI headers are stored in float32, so exact equality would be too strict.

        Returns
        -------
        bool

        Examples
        --------
        >>> Grid.with_spacing((4, 4)).same_space(Grid.with_spacing((4, 4), 1.1))
        False
        """
        if self.shape != other.shape:
            return False
        corners = np.indices((2,) * self.dim).reshape(self.dim, -1)
        corners = corners * (np.array(self.shape) - 1)[:, None]
        difference = self.voxel_to_world(corners) - other.voxel_to_world(corners)
        distance = np.linalg.norm(difference, axis=0).max()
        return bool(distance <= tolerance * self.spacing.min())
