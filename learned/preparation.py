"""A pair of images of any grids, checked and brought to the network's own grid and size.

The grid covers the fixed image's field of view with voxels of one size along all axes.  The moving image
is read there through world space, so that the network sees what the headers leave to be done.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varreg.errors import InputError, VarregError
from varreg.geometry.displacement import Float
from varreg.geometry.grid import Grid
from varreg.images.accepted import Image, as_pair
from varreg.images.intensities import robust_range
from varreg.images.level_image import LevelImage
from varreg.stages.arguments import affine_initialisations, check_overlap, sampled
from varreg.stages.initialisations import candidates

from .data.intensity import unit_values
from .network_grid import covering, network_grid, resampled


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
    multiple: int = 1,
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
    multiple : int
        What its numbers of voxels are multiples of then.
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
        If the start leaves almost nothing of the moving image in view.
    """
    begun = time.perf_counter()
    if others:
        raise InputError(
            f"{function}: a network does not accept {', '.join(map(repr, others))}; leave it out, "
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
    return Prepared(*images, grid, matrix, np.stack(pair), time.perf_counter() - begun)


def _seen(image: Image, argument: str) -> LevelImage:
    """An image in unit intensities; what holds no data is black, as around the heads of training."""
    if image.valid is None:
        return sampled(image, None, None, argument)
    level = sampled(image, image.valid, robust_range(image.data[image.valid]), argument)
    return replace(level, data=unit_values(image))


def _start_matrix(start: Any, moving: LevelImage, fixed: LevelImage) -> Float:
    """Fixed world -> moving world before the network; refused if it leaves almost nothing in view."""
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
