"""Application of transforms to an image series, volume by volume: one interpolation, and constant memory."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..errors import GeometryError, InputError
from ..exchange.composing import chain_of, inverted, transform_of
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
    reference: Any = None,
    inverse: bool = False,
    interpolation: str = "linear",
    fill: float | None = None,
    modulate: bool = False,
    labels: bool = False,
    bvecs: Any = None,
    threads: int | None = None,
    progress: bool | None = None,
    overwrite: bool = False,
) -> Array | None:
    """Warp a series by transforms, including its motion, and write it.

    All maps are composed first, so that every volume is interpolated once: ``[template, t1, motion]``, with the
    registrations of the T1 to the template and of the mean of the series to the T1, takes each volume to the template.

    Parameters
    ----------
    series : path, nibabel image or array (x, y, z, n)
        Series to be warped; an array has the voxels of the moving image.
    transforms : AlignedSeries, Result, Transform, path of one of these, or sequence of them
        The first is applied to fixed points first, the order of ``antsApplyTransforms -t``.  An :class:`AlignedSeries` has
        one map per volume, and comes last.  Files of other tools are read by :func:`varreg.read_transform`.
    output : path
        ``.nii`` or ``.nii.gz``.
    reference : Grid, Image, array, nibabel image or path, optional
        Image whose grid the output gets, by default the fixed image of the first transform.
    inverse : bool
        Use the inverse map, for series of the fixed image (such as tissue probabilities); without motion.
    interpolation : {"linear", "nearest", "cubic"}
    fill : float, optional
        Value outside the volume, by default its background; see :meth:`varreg.Transform.warp`.
    modulate : bool
        Whether intensities are multiplied by the change of volume (:meth:`varreg.Transform.warp`), for distorted EPI.
    labels : bool
        Whether volumes hold labels (:meth:`varreg.Transform.warp_labels`).
    bvecs : path or (3, n) array, optional
        Directions of diffusion weighting of the series by FSL's convention.
    threads : int, optional
        Number of volumes warped in parallel; the result does not depend on it.
    progress, overwrite : bool

    Returns
    -------
    (3, n) array or None
        The directions along the axes of the output, if `bvecs` were given, rotated by the rotations of the affine maps.

    Raises
    ------
    InputError, GeometryError, FileError
        If the series and the transforms do not fit each other, or the output cannot be written.
    """
    refuse_no_series(output, FUNCTION)
    check_choice(interpolation, INTERPOLATIONS, FUNCTION, "interpolation")
    fill = fill_value(fill, FUNCTION)
    volumes = as_volumes(series, argument="series", function=FUNCTION)
    total, motion = composed(transforms, volumes)
    if inverse:
        total = _turned_round(total, motion)
    if reference is not None:
        grid = geometry(reference, "reference", FUNCTION).grid
        total = transform_of(chain_of(total), grid, total.moving)
    volumes = _placed(volumes, total.moving)
    directions = None if bvecs is None else turned(bvecs, volumes, total, motion)

    def warp(number: int, image: Image) -> NDArray[Any]:
        own = moved(total, motion, number)
        if labels:
            return own.warp_labels(image, "nearest" if interpolation == "nearest" else "linear")
        return own.warp(image, interpolation, fill, threads=1, modulate=modulate)

    with atomic_path(output, overwrite=overwrite) as temporary:
        write_warped(temporary, volumes, warp, total.fixed, labels, threads, progress)
    return directions


def composed(transforms: Any, volumes: Volumes) -> tuple[Transform, AlignedSeries | None]:
    """The map common to all volumes, and the motion that is applied after it, if any."""
    parts = list(transforms) if isinstance(transforms, (list, tuple)) else [transforms]
    motion = None
    if parts and (isinstance(parts[-1], AlignedSeries) or is_aligned(parts[-1])):
        motion = _loaded(parts.pop())
        if motion.count != volumes.count:
            raise InputError(
                f"{FUNCTION}: the motion is that of {motion.count} volumes, and the series has {volumes.count}; give "
                "the series that was aligned, or one that was taken with it."
            )
    if any(isinstance(part, AlignedSeries) or is_aligned(part) for part in parts):
        raise InputError(
            f"{FUNCTION}: `transforms` has a motion that does not come last; it maps points of the reference to each "
            "volume, so all other maps come before it."
        )
    whole = [part if held_transform(part) else read_transform(part) for part in parts]
    maps = [held_transform(part) or part for part in whole]
    if not maps and motion is None:
        raise InputError(f"{FUNCTION}: `transforms` is empty; give at least one.")
    moving = motion.grid if motion is not None else maps[-1].moving
    if not maps:
        return Transform(moving, moving, np.eye(4)), motion
    if any(one.fixed.dim != 3 for one in maps):
        raise GeometryError(f"{FUNCTION}: `transforms` are 2D, and the series is 3D.")
    return read_transform(maps, maps[0].fixed, moving), motion


def moved(total: Transform, motion: AlignedSeries | None, number: int) -> Transform:
    """The complete map of one volume, whose motion is applied last."""
    if motion is None:
        return total
    return replace(total, affine=motion.affines[number] @ total.affine)


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


def _turned_round(total: Transform, motion: AlignedSeries | None) -> Transform:
    if motion is not None:
        raise InputError(
            f"{FUNCTION}: `inverse` was asked for, and `transforms` has a motion, a map of its own for each volume; leave "
            "one of them out."
        )
    return inverted(total)


def _placed(volumes: Volumes, moving: Grid) -> Volumes:
    """An image series whose array, if it has no geometry, lies on the moving grid."""
    if volumes.placed:
        return volumes
    if volumes.grid.shape != moving.shape:
        raise InputError(
            f"{FUNCTION}: `series` has volumes of shape {volumes.grid.shape}, but the transform expects {moving.shape}; "
            "pass an image with its own header if its grid differs."
        )
    return replace(volumes, grid=moving)


def _loaded(value: Any) -> AlignedSeries:
    return value if isinstance(value, AlignedSeries) else load_series(value)
