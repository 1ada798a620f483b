"""Grids of isotropic voxels for the input of networks, and resampling to them.

In training, a volume is resampled to a grid over its own field of view, with axes closest to right, anterior,
superior.  At inference, the grid covers the field of view of the fixed image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varreg.errors import InputError
from varreg.geometry.displacement import Float
from varreg.geometry.grid import Grid
from varreg.geometry.resampling import Coordinates, affine_coordinates, voxel_matrix, warp
from varreg.images.image import Image
from varreg.images.intensities import robust_range, unit_intensities
from varreg.images.level_image import LevelImage

_LARGEST_VOLUME = 1 << 29  # voxels of a resampled image; more indicate a wrong spacing
_FEWEST = 4  # voxels of the network's grid along the longest extent, at least
_MOST = 4  # largest size relative to training, for a network that accepts any size


def network_grid(
    fixed: Grid,
    shape: Sequence[int],
    spacing: float | None = None,
    function: str = "learned.predict",
) -> Grid:
    """Input grid of a network for a pair: isotropic voxels, centred on the fixed image.

    Its axes are those of the fixed array, ordered and oriented like the closest world axes, as in training
    (:func:`isotropic_grid`).  If the voxel sizes are equal, its voxels coincide with those of the fixed image.

    Parameters
    ----------
    fixed : Grid
        Grid of the fixed image.
    shape : sequence of int
        (*S), input size of the network.
    spacing : float, optional
        Voxel size in mm; by default the smallest that covers the whole fixed field of view.
    function : str
        Function name for error messages.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        If the spacing is not positive, or so large that the fixed image spans fewer than 4 voxels.

    Examples
    --------
    >>> network_grid(Grid.with_spacing((10, 20), (2.0, 0.5)), (8, 8)).spacing.tolist()
    [2.5, 2.5]
    """
    d, size = fixed.dim, np.array(shape)
    axes, extent = _axes(fixed)
    edge = float((extent / size).max()) if spacing is None else spacing
    usable = isinstance(edge, Real) and not isinstance(edge, bool) and 0 < edge < math.inf
    if not usable or extent.max() / edge < _FEWEST:
        raise InputError(
            f"{function}: `spacing` must be a voxel size in mm, small enough for {_FEWEST} voxels in "
            f"the {extent.max():.4g} mm of the fixed image; got {spacing!r}."
        )
    affine = np.eye(d + 1)
    affine[:d, :d] = axes * edge
    affine[:d, d] = fixed.centre - affine[:d, :d] @ ((size - 1) / 2)
    index = np.linalg.solve(fixed.affine, affine)
    whole = np.rint(index)
    if (
        np.abs(index - whole)[:d, :d].max() < 1e-6
    ):  # shift by up to half a voxel to avoid interpolation
        affine = fixed.affine @ whole
    return Grid(tuple(shape), affine)


def covering(
    fixed: Grid, shape: Sequence[int], spacing: Any, multiple: int = 1
) -> tuple[tuple[int, ...], Any]:
    """Shape and voxel size of a grid that covers the field of view of the fixed image.

    Voxels are larger than `spacing` if an axis would otherwise have more than 4 times as many as in
    training, since the network is trained on whole heads.

    Parameters
    ----------
    fixed : Grid
        Grid of the fixed image.
    shape : sequence of int
        (*S), image size of the training.
    spacing : float
        Voxel size in mm.
    multiple : int
        Divisor of the numbers of voxels.

    Examples
    --------
    >>> covering(Grid.with_spacing((100, 61), (2.0, 2.0)), (32, 32), 4.0, 8)
    ((56, 32), 4.0)
    """
    is_number = isinstance(spacing, Real) and not isinstance(spacing, bool)
    if not is_number or not 0 < float(spacing) < math.inf:
        return tuple(shape), spacing  # invalid; refused by network_grid
    extent = _axes(fixed)[1]
    spacing = max(float(spacing), float((extent / (_MOST * np.array(shape))).max()))
    parts = np.maximum(np.ceil(extent / (spacing * multiple) - 1e-6), 1).astype(int)
    return tuple(int(n) * multiple for n in parts), spacing


def _axes(fixed: Grid) -> tuple[Float, Float]:
    """Axis directions of a network's grid (columns), and the extent of the field of view along them (mm)."""
    from scipy.optimize import linear_sum_assignment

    d = fixed.dim
    order = linear_sum_assignment(-np.abs(fixed.direction))[1]
    left, _, right = np.linalg.svd(fixed.direction[:, order])
    axes = left @ right  # for a sheared grid, the nearest orthogonal axes
    axes = axes * np.where(np.diag(axes) < 0, -1.0, 1.0)
    return axes, np.abs(axes.T @ fixed.affine[:d, :d]) @ np.array(fixed.shape)


def resampled(image: LevelImage, grid: Grid, start: Float) -> NDArray[np.float32]:
    """Resample an image to a grid through a world map, with the same smoothing as in training.

    Parameters
    ----------
    image : LevelImage
        Image with intensities in [0, 1].
    grid : Grid
        Grid with isotropic voxels.
    start : (d + 1, d + 1) array
        Map from the world of `grid` to that of the image.

    Returns
    -------
    (*S) float32 array
        0 outside the image.
    """
    data = _smoothed(image.data, grid.spacing / image.grid.spacing)
    matrix = voxel_matrix(grid.affine, start, image.grid.affine)
    coordinates = lambda slab: affine_coordinates(matrix, grid.shape, slab)  # noqa: E731
    return warp(data, grid.shape, coordinates, "linear", 0.0)


def isotropic_grid(grid: Grid, spacing: float) -> Grid:
    """Grid with isotropic voxels, the same field of view, and axes closest to right, anterior, superior.

    Parameters
    ----------
    grid : Grid
        3D grid.
    spacing : float
        Voxel size in mm.

    Returns
    -------
    Grid
        Its axes are those of `grid`, reordered and reversed, so that a grid with this spacing keeps its
        voxels; otherwise the extent is rounded to whole voxels about the same centre.

    Raises
    ------
    InputError
        If it has more than 2**29 voxels.

    Examples
    --------
    >>> grid = Grid((4, 6, 8), np.diag([-2.0, 1.0, 1.0, 1.0]))
    >>> isotropic_grid(grid, 1.0).shape, isotropic_grid(grid, 1.0).affine[0].tolist()
    ((8, 6, 8), [1.0, 0.0, 0.0, -6.5])
    """
    from scipy.optimize import linear_sum_assignment

    # joint assignment of each world axis to the array axis closest to it
    order = linear_sum_assignment(-np.abs(grid.direction))[1]
    signs = np.sign(grid.direction[np.arange(3), order])
    direction = grid.direction[:, order] * signs
    shape = tuple(int(n) for n in np.maximum(np.rint(grid.extent[order] / spacing), 1))
    if np.prod(np.array(shape, dtype=np.float64)) > _LARGEST_VOLUME:
        raise InputError(
            f"isotropic_grid: a field of view of {grid.extent.round().tolist()} mm has {shape} "
            f"voxels of {spacing:g} mm, which is too many; raise `spacing`."
        )
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing
    affine[:3, 3] = grid.centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def unit_values(image: Image) -> NDArray[np.float32]:
    """Unit intensities, (*S); voxels without data are 0, like the background of a skull-stripped head."""
    if image.valid is None:
        return unit_intensities(image.data, None)
    known = unit_intensities(image.data, robust_range(image.data[image.valid]))
    return np.where(image.valid, known, np.float32(0))


def on_grid(image: Image, grid: Grid) -> NDArray[np.float32]:
    """Image in [0, 1] resampled to another grid; 0 outside the image."""
    data = _smoothed(unit_values(image), float(grid.spacing[0]) / image.grid.spacing)
    return warp(data, grid.shape, voxel_coordinates(grid, image.grid), "linear", 0.0)


def voxel_coordinates(target: Grid, source: Grid) -> Coordinates:
    """Function from a slab of the target to source voxel coordinates, integers where the voxels coincide."""
    matrix = voxel_matrix(target.affine, np.eye(4), source.affine)
    rounded = np.rint(matrix * 2**10) / 2**10
    matrix = np.where(np.abs(matrix - rounded) < 1e-6, rounded, matrix)
    return lambda slab: affine_coordinates(matrix, target.shape, slab)


def _smoothed(data: NDArray[np.float32], coarser: Float) -> NDArray[np.float32]:
    """Image smoothed before sampling that is coarser by these factors along each axis."""
    from scipy.ndimage import gaussian_filter

    # about half the new voxel size, against aliasing
    sigma = 0.5 * np.sqrt(np.maximum(coarser**2 - 1, 0))
    return gaussian_filter(data, sigma, mode="nearest") if (sigma > 0.05).any() else data
