"""A pair of images of any grids, checked and brought to the network's own grid and size.

The grid covers the fixed image's field of view with voxels of one size along all axes.  The moving image
is read there through world space, so that the network sees what the headers leave to be done.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varreg.errors import InputError, VarregError
from varreg.geometry.displacement import Float
from varreg.geometry.grid import Grid
from varreg.geometry.resampling import affine_coordinates, voxel_matrix, warp
from varreg.images.accepted import Image, as_pair
from varreg.images.intensities import robust_range
from varreg.images.level_image import LevelImage
from varreg.stages.arguments import affine_initialisations, check_overlap, sampled
from varreg.stages.initialisations import candidates

from .data.volumes import unit_values

_FEWEST = 4  # voxels of the network that the fixed field of view must span
_MOST = 4  # times its size in training that a network of any size sees


class Prepared(NamedTuple):
    """A pair as a network sees it."""

    moving: Image
    fixed: Image
    grid: Grid
    start: Float  # fixed world -> moving world, through which the moving image is seen
    images: NDArray[np.float32]  # (2, *S), moving and fixed in [0, 1]
    seconds: float


def prepare(
    moving: Any,
    fixed: Any,
    *,
    shape: tuple[int, ...],
    model: str,
    function: str,
    start: str | Float | None = "header",
    spacing: float | None = None,
    trained: float | None = None,
    **others: Any,
) -> Prepared:
    """What a network will see of a pair; every argument is checked here.

    Parameters
    ----------
    moving, fixed, start, spacing
        See :func:`learned.predict`.
    shape : tuple of int
        (*S) of the network.
    trained : float, optional
        Voxel size of its training (mm), of a network that takes images of any size: it sees all of the
        fixed field of view, by default in such voxels.
    model : str
        Name of the network.
    function : str
        Name for the messages.
    **others
        Further arguments of :func:`varreg.solve` for this pair: none is possible.

    Raises
    ------
    InputError
        If the images, the start or the spacing cannot be used, or `others` are given.
    OverlapError
        If the start leaves next to nothing of the moving image in view.
    """
    begun = time.perf_counter()
    if others:
        raise InputError(
            f"{function}: a network does not look at {', '.join(map(repr, others))}; leave it out, "
            "or use varreg.solve."
        )
    images = as_pair(moving, fixed, function)
    if images[1].grid.dim != len(shape):
        raise InputError(_other_dimension(model, len(shape), images[1], function))
    with _said_by(function):
        inputs = [
            _seen(image, argument)
            for image, argument in zip(images, ("moving", "fixed"), strict=True)
        ]
        matrix = _start_matrix(start, *inputs)
    fixed_grid = images[1].grid
    if trained is not None:
        shape, spacing = covering(fixed_grid, shape, trained if spacing is None else spacing)
    grid = network_grid(fixed_grid, shape, spacing, function)
    pair = resampled(inputs[0], grid, matrix), resampled(inputs[1], grid, np.eye(len(matrix)))
    return Prepared(*images, grid, matrix, np.stack(pair), time.perf_counter() - begun)


def _seen(image: Image, argument: str) -> LevelImage:
    """An image in unit intensities; what holds no data is black, as around the heads of training."""
    if image.valid is None:
        return sampled(image, None, None, argument)
    level = sampled(image, image.valid, robust_range(image.data[image.valid]), argument)
    return replace(level, data=unit_values(image))


def _start_matrix(start: Any, moving: LevelImage, fixed: LevelImage) -> Float:
    """Fixed world -> moving world before the network; refused if it leaves next to nothing in view."""
    d = fixed.grid.dim
    chosen = affine_initialisations("header" if start is None else start, d)
    check_overlap(fixed.grid, moving.grid, np.eye(d + 1), "affine", chosen)
    if isinstance(chosen, tuple):
        return candidates(fixed, moving, chosen, turn=False)[0]
    return chosen


def _other_dimension(model: str, dimension: int, image: Image, function: str) -> str:
    shape = " x ".join(map(str, image.grid.shape))
    advice = "give volumes, or name a network for slices as `model`."
    if dimension == 2:
        advice = (
            "give one slice of each, e.g. image.slicer[:, :, 80:81] of a nibabel image or "
            "array[:, :, 80], or use varreg.solve, which takes volumes."
        )
    return (
        f"{function}: the network {model!r} is for {dimension}D images, and these are "
        f"{image.grid.dim}D (`fixed` is {shape}); {advice}"
    )


@contextlib.contextmanager
def _said_by(function: str) -> Iterator[None]:
    """The solver's own checks, in the name of another function."""
    try:
        yield
    except VarregError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (error.args[0].replace("varreg.solve", function), *error.args[1:])
        raise


def network_grid(
    fixed: Grid,
    shape: Sequence[int],
    spacing: float | None = None,
    function: str = "learned.predict",
) -> Grid:
    """The grid on which a network sees a pair: cubic voxels about the fixed image's centre.

    Its axes are those of the fixed array, ordered and directed as the world axes they are nearest
    to, as in training (:func:`learned.data.volumes.isotropic_grid`).  Where the voxels have the size
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


def covering(fixed: Grid, shape: Sequence[int], spacing: Any) -> tuple[tuple[int, ...], Any]:
    """As many voxels as cover a fixed field of view, and their size.

    They are larger than `spacing` where there would be more than 4 times as many along an axis as the
    network was trained with: what it knows is how a head looks.

    Examples
    --------
    >>> covering(Grid.with_spacing((100, 61), (2.0, 2.0)), (32, 32), 4.0)
    ((50, 31), 4.0)
    """
    if not (isinstance(spacing, Real) and not isinstance(spacing, bool) and 0 < spacing < math.inf):
        return tuple(shape), spacing  # which network_grid refuses
    extent = _axes(fixed)[1]
    spacing = max(float(spacing), float((extent / (_MOST * np.array(shape))).max()))
    voxels = np.ceil(extent / spacing - 1e-6).astype(int)
    return tuple(int(n) for n in np.maximum(voxels, 1)), spacing


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
    from scipy.ndimage import gaussian_filter

    data, coarser = image.data, grid.spacing / image.grid.spacing
    # about the width of the new voxels, so that what they cannot hold is not folded into them
    sigma = 0.5 * np.sqrt(np.maximum(coarser**2 - 1, 0))
    if (sigma > 0.05).any():
        data = gaussian_filter(data, sigma, mode="nearest")
    matrix = voxel_matrix(grid.affine, start, image.grid.affine)
    coordinates = lambda slab: affine_coordinates(matrix, grid.shape, slab)  # noqa: E731
    return warp(data, grid.shape, coordinates, "linear", 0.0)
