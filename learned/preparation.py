"""Resampling of a pair to the network's grid, and conversion of the network's map to world space.

All arguments are validated here.  The grid covers the field of view of the fixed image with isotropic voxels.
The moving image is resampled to it through world space, so that the network only has to correct the remaining
misalignment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varreg.backends.compilation import compilation_clock, compilation_seconds, computing_time
from varreg.errors import InputError, VarregError
from varreg.geometry import resampling
from varreg.geometry.along_axes import parallel_axes, resize_along_axes
from varreg.geometry.displacement import Float
from varreg.geometry.grid import Grid
from varreg.images.accepted import Image, as_pair
from varreg.images.frames import frame_of_map
from varreg.images.intensities import robust_range
from varreg.images.level_image import LevelImage
from varreg.stages.arguments import affine_initialisations, check_overlap, sampled
from varreg.stages.initialisations import candidates
from varreg.transforms.transform import Transform

from .grids import covering, network_grid, resampled, unit_values


class Prepared(NamedTuple):
    """Input of a network for a pair, with the original images and grids."""

    moving: Image
    fixed: Image
    grid: Grid
    start: Float  # fixed world -> moving world, initial map
    images: NDArray[np.float32]  # (2, *S), moving and fixed in [0, 1]
    seconds: float
    compilation: float


@compilation_clock()
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
    multiple: int = 1,
    **others: Any,
) -> Prepared:
    """Validate the arguments of a prediction and compute the input of the network.

    Parameters
    ----------
    moving, fixed, start, spacing
        See :func:`learned.predict`.
    shape : tuple of int
        (*S), image size of the training.
    trained : float, optional
        Voxel size of the training (mm), for a network that accepts images of any size: its input is the
        whole fixed field of view, by default with this voxel size.
    multiple : int
        Divisor of the numbers of voxels of such an input.
    model : str
        Name of the network.
    function : str
        Function name for error messages.
    **others
        Further arguments of :func:`varreg.solve` for this pair, which are all refused.

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        If the images, the start or the spacing are invalid, or `others` are given.
    OverlapError
        If almost nothing of the moving image is in view after the start.
    """
    begun = computing_time()
    if others:
        raise InputError(
            f"{function}: a network does not accept {', '.join(map(repr, others))}; omit it, "
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
        wanted = trained if spacing is None else spacing
        shape, spacing = covering(fixed_grid, shape, wanted, multiple)
    grid = network_grid(fixed_grid, shape, spacing, function)
    pair = resampled(inputs[0], grid, matrix), resampled(inputs[1], grid, np.eye(len(matrix)))
    return Prepared(
        *images, grid, matrix, np.stack(pair), computing_time() - begun, compilation_seconds()
    )


def world_transform(
    affine: Float, displacement: Float, network: Grid, fixed: Image, moving: Image, start: Float
) -> Transform:
    r"""Transform between two images from the map of a network.

    On the network's grid W, with isotropic voxels, the network maps the voxel x to V(x + u(x)), where V
    is its affine map in voxels.  The moving image has been resampled to this grid through the world map S,
    so that the total map in world space is

    .. math:: X \mapsto S W V (W^{-1} X + u) = A (X + W_{lin} u), \qquad A = S W V W^{-1}.

    u is interpolated linearly at every fixed voxel, continued constantly beyond the network's grid, and
    rotated to the axes of the fixed array.

    Parameters
    ----------
    affine : (d, d + 1) array
        Affine map on centred coordinates, see :mod:`learned.affine`.
    displacement : (d, \*n) array
        u, in voxels of the network's grid.
    network : Grid
        W, in the world of the fixed image.
    fixed, moving : Image
        The two images.
    start : (d + 1, d + 1) array
        S, fixed world -> moving world (mm).

    Returns
    -------
    varreg.Transform
        Without a deformable part if u is 0 everywhere.

    Raises
    ------
    GeometryError
        If the map is not finite or its affine part is singular.

    Examples
    --------
    >>> image = Image.from_array(np.eye(8), spacing=2.0)
    >>> shift = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    >>> float(world_transform(shift, np.zeros((2, 8, 8)), image.grid, image, image, np.eye(3)).affine[0, 2])
    4.0
    """
    d, shape = network.dim, np.array(network.shape)
    # only the difference to the identity is converted, so that the identity is preserved exactly
    change = np.zeros((d + 1, d + 1))
    change[:d, :d] = affine[:, :d] - np.eye(d)
    change[:d, d] = affine[:, d] * (shape.max() / 2) - change[:d, :d] @ ((shape - 1) / 2)
    matrix = start @ (np.eye(d + 1) + network.affine @ change @ np.linalg.inv(network.affine))
    nodes = None
    if np.any(displacement):
        turn = np.linalg.solve(fixed.grid.direction, network.affine[:d, :d])
        nodes = np.tensordot(turn, _carried(displacement, network, fixed.grid), 1)
    frame = frame_of_map(fixed, moving)
    return Transform(fixed.grid, moving.grid, matrix, nodes, "zero-mean", frame)


def _seen(image: Image, argument: str) -> LevelImage:
    """Image in unit intensities; voxels without data are 0, like the background in training."""
    if image.valid is None:
        return sampled(image, None, None, argument)
    level = sampled(image, image.valid, robust_range(image.data[image.valid]), argument)
    return replace(level, data=unit_values(image))


def _start_matrix(start: Any, moving: LevelImage, fixed: LevelImage) -> Float:
    """Initial map fixed world -> moving world; an OverlapError if almost nothing is in view."""
    d = fixed.grid.dim
    chosen = affine_initialisations("header" if start is None else start, d)
    check_overlap(fixed.grid, moving.grid, np.eye(d + 1), "affine", chosen)
    if isinstance(chosen, tuple):
        return candidates(fixed, moving, chosen, turn=False)[0]
    return chosen


def _other_dimension(model: str, dimension: int, image: Image, function: str) -> str:
    shape = " x ".join(map(str, image.grid.shape))
    advice = "pass volumes, or select a network for slices by `model`."
    if dimension == 2:
        advice = (
            "pass one slice of each, e.g. image.slicer[:, :, 80:81] of a nibabel image or "
            "array[:, :, 80], or use varreg.solve, which accepts volumes."
        )
    return (
        f"{function}: the network {model!r} is for {dimension}D images, but these are "
        f"{image.grid.dim}D (`fixed` is {shape}); {advice}"
    )


@contextlib.contextmanager
def _said_by(function: str) -> Iterator[None]:
    """Replace the name of the solver in its error messages by that of another function."""
    try:
        yield
    except VarregError as error:
        if error.args and isinstance(error.args[0], str):
            error.args = (error.args[0].replace("varreg.solve", function), *error.args[1:])
        raise


def _carried(field: Float, source: Grid, target: Grid) -> Float:
    """Components (d, *n) on one grid, interpolated at the voxels of another grid in the same world, (d, *S)."""
    if source.shape == target.shape and np.array_equal(source.affine, target.affine):
        return field
    matrix = resampling.voxel_matrix(target.affine, np.eye(target.dim + 1), source.affine)
    axes = parallel_axes(matrix)
    if axes is not None:
        return np.stack([resize_along_axes(part, matrix, axes, target.shape) for part in field])

    def coordinates(slab: slice) -> Float:
        points = resampling.affine_coordinates(matrix, target.shape, slab)
        resampling.clamp(points, source.shape)
        return points

    parts = [resampling.warp(part, target.shape, coordinates, "linear", 0.0) for part in field]
    return np.stack(parts)
