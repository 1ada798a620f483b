"""Maps applied to a series, volume by volume: one interpolation, in memory that does not grow with the volumes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..errors import GeometryError, InputError
from ..exchange.reading import read_transform
from ..geometry.grid import Grid
from ..geometry.resampling import INTERPOLATIONS, check_choice
from ..images.image import Image
from ..images.loading import geometry
from ..images.series import as_volumes
from ..images.volumes import Volumes
from ..images.warping import fill_value
from ..io.atomic import atomic_path
from ..io.series_file import refuse_no_series
from ..transforms.held import held_transform
from ..transforms.transform import Transform
from .aligned import AlignedSeries, load_series
from .bvectors import read_bvectors, rotated
from .folder import is_aligned
from .warping import write_warped

FUNCTION = "varreg.apply_series"


def apply_series(
    series: Any,
    transforms: Any,
    output: str | os.PathLike[str],
    *,
    fixed: Any = None,
    interpolation: str = "linear",
    fill: float | None = None,
    labels: bool = False,
    bvecs: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
) -> Array | None:
    """Bring a series through transforms, its motion among them, and write it.

    All maps are put together first, so that every volume is interpolated once: ``[t1_to_template, bold_to_t1, motion]``
    takes each volume of the series straight to the template.

    Parameters
    ----------
    series : path, nibabel image or array (x, y, z, n)
        What is warped; the grid of the moving side of the last transform, or any other by its header.
    transforms : AlignedSeries, Result, Transform, path, or sequence of them
        As for :func:`varreg.read_transform`: the first is applied to a fixed point first, the order of
        ``antsApplyTransforms -t``.  An :class:`AlignedSeries`, or the folder of one, has a map for each volume, and comes last.
    output : path
        ``.nii`` or ``.nii.gz``.
    fixed : Grid, Image, array, nibabel image or path, optional
        Image whose grid the output gets, by default that of the first transform.  Needed for transforms of other tools.
    interpolation : {"linear", "nearest", "cubic"}
    fill : float, optional
        Value where there is no volume, by default its own background; see :meth:`varreg.Transform.warp`.
    labels : bool
        Whether volumes hold labels (:meth:`varreg.Transform.warp_labels`).
    bvecs : path or (3, n) array, optional
        Directions of diffusion weighting of the series by FSL's convention.
    threads : int, optional
        How many volumes are warped at once; the result does not depend on it.
    progress : bool, optional
    overwrite : bool

    Returns
    -------
    (3, n) array or None
        The directions along the axes of the output, if `bvecs` were given: turned by the rotations of the affine maps.

    Raises
    ------
    InputError, GeometryError, FileError
        If the series and the transforms do not fit each other, or the output cannot be written.
    """
    refuse_no_series(output, FUNCTION)
    volumes = as_volumes(series, argument="series", function=FUNCTION)
    total, motion = composed(transforms, volumes, fixed)
    directions = None if bvecs is None else turned(bvecs, volumes, total, motion)
    check_choice(interpolation, INTERPOLATIONS, FUNCTION, "interpolation")
    fill = fill_value(fill, FUNCTION)

    def warp(number: int, image: Image) -> NDArray[Any]:
        own = moved(total, motion, number)
        if labels:
            return own.warp_labels(image, "nearest" if interpolation == "nearest" else "linear")
        return own.warp(image, interpolation, fill, threads=1)

    with atomic_path(output, overwrite=overwrite) as temporary:
        write_warped(temporary, volumes, warp, total.fixed, labels, threads, progress)
    return directions


def moved(total: Transform, motion: AlignedSeries | None, number: int) -> Transform:
    """The whole map of one volume: its motion comes after all else."""
    if motion is None:
        return total
    return replace(total, affine=motion.affines[number] @ total.affine)


def composed(
    transforms: Any, volumes: Volumes, fixed: Any = None
) -> tuple[Transform, AlignedSeries | None]:
    """The map that all volumes share, and the motion that comes after it, if there is one."""
    parts = list(transforms) if isinstance(transforms, (list, tuple)) else [transforms]
    motion = None
    if parts and (isinstance(parts[-1], AlignedSeries) or is_aligned(parts[-1])):
        motion = _loaded(parts.pop())
        check_count(motion, volumes, FUNCTION)
    if any(isinstance(part, AlignedSeries) or is_aligned(part) for part in parts):
        raise InputError(
            f"{FUNCTION}: `transforms` has a motion that does not come last; it takes points of the reference to each "
            "volume, so all other maps come before it."
        )
    moving = volumes.grid if motion is None else motion.grid
    return shared(parts, moving, fixed), motion


def shared(parts: Sequence[Any], moving: Grid, fixed: Any) -> Transform:
    """The maps that all volumes share as one, onto a grid of the fixed side."""
    if not parts:
        target = moving if fixed is None else geometry(fixed, "fixed", FUNCTION).grid
        return Transform(target, moving, np.eye(4))
    first = held_transform(parts[0])
    target = fixed if fixed is not None or first is None else first.fixed
    if target is None and len(parts) == 1:
        return read_transform(parts[0])
    if target is None:
        raise InputError(
            f"{FUNCTION}: `fixed` is needed with transforms of files: the image whose grid the output gets."
        )
    total = read_transform(list(parts), target, moving)
    if total.fixed.dim != 3:
        raise GeometryError(f"{FUNCTION}: `transforms` are 2D and the series is 3D.")
    return total


def check_count(motion: AlignedSeries, volumes: Volumes, function: str) -> None:
    """Refuse the motion of another series."""
    if motion.count != volumes.count:
        raise InputError(
            f"{function}: the motion is that of {motion.count} volumes, and the series has {volumes.count}; give the series "
            "that was aligned, or one that was taken with it."
        )


def turned(bvecs: Any, volumes: Volumes, total: Transform, motion: AlignedSeries | None) -> Array:
    """Directions along the axes of the output."""
    if total.nodes is not None:
        raise InputError(
            f"{FUNCTION}: `bvecs` were given, and a transform deforms: directions would differ from voxel to voxel. "
            "Stay in a space that affine maps lead to, e.g. the T1 of the same person."
        )
    vectors = read_bvectors(bvecs, volumes.count, FUNCTION)
    affines = np.array([moved(total, motion, k).affine for k in range(volumes.count)])
    return rotated(vectors, affines, volumes.grid, total.fixed)


def _loaded(value: Any) -> AlignedSeries:
    return value if isinstance(value, AlignedSeries) else load_series(value)
