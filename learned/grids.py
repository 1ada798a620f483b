"""Cubic grids on which networks see images, in training and afterwards, and images there.

A volume of the training is brought to a grid over its own field of view, its axes nearest to right, anterior,
superior.  Of a pair that is registered, the grid covers the fixed image's field of view with voxels of one size
along all axes.
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

_LARGEST_VOLUME = 1 << 29  # voxels of a resampled image; more is a mistaken spacing
_FEWEST = 4  # voxels of the network that the fixed field of view must span
_MOST = 4  # times its size in training that a network of any size sees


def network_grid(
    fixed: Grid,
    shape: Sequence[int],
    spacing: float | None = None,
    function: str = "learned.predict",
) -> Grid:
    """The grid on which a network sees a pair: cubic voxels about the fixed image's centre.

    Its axes are those of the fixed array, ordered and directed as the world axes they are nearest
    to, as in training (:func:`isotropic_grid`).  Where the voxels have the size
    of the fixed image's they coincide with them.

    Parameters
    ----------
    fixed : Grid
    shape : sequence of int
        (*S) of the network.
    spacing : float, optional
        Voxel size in mm; by default the smallest with which all of the fixed field of view is seen.
    function : str
        Name for the messages.

    Returns
    -------
    Grid

    Raises
    ------
    InputError
        If the spacing is not positive, or so large that fewer than 4 voxels remain.

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
    if np.abs(index - whole)[:d, :d].max() < 1e-6:  # half a voxel aside, nothing is interpolated
        affine = fixed.affine @ whole
    return Grid(tuple(shape), affine)


def covering(
    fixed: Grid, shape: Sequence[int], spacing: Any, multiple: int = 1
) -> tuple[tuple[int, ...], Any]:
    """As many voxels as cover a fixed field of view, and their size.

    They are larger than `spacing` where there would be more than 4 times as many along an axis as the
    network was trained with: what it knows is how a head looks.

    Parameters
    ----------
    fixed : Grid
    shape : sequence of int
        (*S) of the training.
    spacing : float
        Voxel size in mm.
    multiple : int
        What numbers of voxels must be multiples of.

    Examples
    --------
    >>> covering(Grid.with_spacing((100, 61), (2.0, 2.0)), (32, 32), 4.0, 8)
    ((56, 32), 4.0)
    """
    is_number = isinstance(spacing, Real) and not isinstance(spacing, bool)
    if not is_number or not 0 < float(spacing) < math.inf:
        return tuple(shape), spacing  # which network_grid refuses
    extent = _axes(fixed)[1]
    spacing = max(float(spacing), float((extent / (_MOST * np.array(shape))).max()))
    parts = np.maximum(np.ceil(extent / (spacing * multiple) - 1e-6), 1).astype(int)
    return tuple(int(n) * multiple for n in parts), spacing


def _axes(fixed: Grid) -> tuple[Float, Float]:
    """Directions of the axes of a network's grid (columns), and the field of view along them (mm)."""
    from scipy.optimize import linear_sum_assignment

    d = fixed.dim
    order = linear_sum_assignment(-np.abs(fixed.direction))[1]
    left, _, right = np.linalg.svd(fixed.direction[:, order])
    axes = left @ right  # of a sheared grid, the right angles nearest to it
    axes = axes * np.where(np.diag(axes) < 0, -1.0, 1.0)
    return axes, np.abs(axes.T @ fixed.affine[:d, :d]) @ np.array(fixed.shape)


def resampled(image: LevelImage, grid: Grid, start: Float) -> NDArray[np.float32]:
    """An image in [0, 1] as another grid sees it through a world map, by the rule of the training.

    Parameters
    ----------
    image : LevelImage
    grid : Grid
        With cubic voxels.
    start : (d + 1, d + 1) array
        World of `grid` -> world of the image.

    Returns
    -------
    (*S) float32 array
        0 where there is no image.
    """
    data = _smoothed(image.data, grid.spacing / image.grid.spacing)
    matrix = voxel_matrix(grid.affine, start, image.grid.affine)
    coordinates = lambda slab: affine_coordinates(matrix, grid.shape, slab)  # noqa: E731
    return warp(data, grid.shape, coordinates, "linear", 0.0)


def isotropic_grid(grid: Grid, spacing: float) -> Grid:
    """A grid with cubic voxels over the same field of view, axes nearest to right, anterior, superior.

    Parameters
    ----------
    grid : Grid
        3D.
    spacing : float
        Voxel size in mm.

    Returns
    -------
    Grid
        Its axes are those of `grid`, reordered and reversed, so that a grid that has this spacing
        already keeps its voxels; else its extent is rounded to whole voxels about the same centre.
        More than 2**29 voxels are an InputError.

    Examples
    --------
    >>> grid = Grid((4, 6, 8), np.diag([-2.0, 1.0, 1.0, 1.0]))
    >>> isotropic_grid(grid, 1.0).shape, isotropic_grid(grid, 1.0).affine[0].tolist()
    ((8, 6, 8), [1.0, 0.0, 0.0, -6.5])
    """
    from scipy.optimize import linear_sum_assignment

    # each world axis takes the array axis that runs most along it, all three together
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
    """Unit intensities, (*S); what holds no data is black, as around a head that was cut out."""
    if image.valid is None:
        return unit_intensities(image.data, None)
    known = unit_intensities(image.data, robust_range(image.data[image.valid]))
    return np.where(image.valid, known, np.float32(0))


def on_grid(image: Image, grid: Grid) -> NDArray[np.float32]:
    """The image in [0, 1] on another grid; 0 where there is none."""
    data = _smoothed(unit_values(image), float(grid.spacing[0]) / image.grid.spacing)
    return warp(data, grid.shape, voxel_coordinates(grid, image.grid), "linear", 0.0)


def voxel_coordinates(target: Grid, source: Grid) -> Coordinates:
    """Slab of the target -> voxels of the source; whole numbers where the grids agree."""
    matrix = voxel_matrix(target.affine, np.eye(4), source.affine)
    rounded = np.rint(matrix * 2**10) / 2**10
    matrix = np.where(np.abs(matrix - rounded) < 1e-6, rounded, matrix)
    return lambda slab: affine_coordinates(matrix, target.shape, slab)


def _smoothed(data: NDArray[np.float32], coarser: Float) -> NDArray[np.float32]:
    """An image before it is sampled so many times more coarsely along each axis."""
    from scipy.ndimage import gaussian_filter

    # about the width of the new voxels, so that what they cannot hold is not folded into them
    sigma = 0.5 * np.sqrt(np.maximum(coarser**2 - 1, 0))
    return gaussian_filter(data, sigma, mode="nearest") if (sigma > 0.05).any() else data
