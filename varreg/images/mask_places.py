"""Position of a mask: on the grid of its image, or resampled onto it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError, InputError
from ..geometry.grid import Grid
from ..geometry.resampling import affine_coordinates, voxel_matrix, warp
from . import slices
from .frames import STEEPEST, projected
from .image import Image
from .pictures import PICTURE_SUFFIXES

#: Tolerance in voxels, for headers rounded by other tools; far below the precision of a mask.
TOLERANCE = 1e-2
#: Smallest overlap of the two fields of view, as a share of either, for a mask of the image.
OVERLAP = 0.5


def on_grid(
    mask: Image, image: Image, has_affine: bool, argument: str, function: str
) -> tuple[NDArray[np.float32], bool]:
    """The mask on the grid of the image, 0 where it holds no data; and whether it was resampled."""
    data = mask.data if mask.valid is None else mask.data * mask.valid
    same_shape = mask.grid.shape == image.grid.shape
    picture = mask.name.lower().endswith(PICTURE_SUFFIXES)  # whose pixel size is often arbitrary
    if same_shape and (picture or not has_affine or _same_place(mask, image)):
        return data, False
    if not has_affine or mask.grid.dim != image.grid.dim:
        raise InputError(
            f"{function}: `{argument}` has shape {mask.grid.shape} and its image has "
            f"{image.grid.shape}; make the mask on the image's own grid, or pass a mask with a header."
        )
    grid = _in_plane(mask, image)
    if grid is None or max(_common(grid, image.grid), _common(image.grid, grid)) < OVERLAP:
        raise GeometryError(
            f"{function}: `{argument}` lies in another place than its image (affine "
            f"{mask.volume_affine.round(4).tolist()}, the image has "
            f"{image.volume_affine.round(4).tolist()}); pass the mask of this image, or an array if its voxels do "
            "correspond."
        )
    matrix = voxel_matrix(image.grid.affine, np.eye(grid.dim + 1), grid.affine)
    shape = image.grid.shape
    found = warp(data, shape, lambda slab: affine_coordinates(matrix, shape, slab), "nearest", 0.0)
    return found, True


def _common(grid: Grid, other: Grid) -> float:
    """Share of a field of view that lies in another one."""
    return grid.overlap_fraction(other, np.eye(grid.dim + 1))


def _in_plane(mask: Image, image: Image) -> Grid | None:
    """The grid of a mask in the in-plane world of the image; None for a slice in another plane."""
    if mask.frame is None or image.frame is None:
        return mask.grid
    if slices.angle_between(mask.frame, image.frame) > STEEPEST:
        return None
    mask = projected(mask, image.frame)
    shift = (mask.volume_affine - image.volume_affine)[:3, 3]
    apart = abs(image.frame[:3, 2] @ shift)
    return mask.grid if apart <= TOLERANCE * float(image.grid.spacing.min()) else None


def _same_place(mask: Image, image: Image) -> bool:
    """Compare positions in 3D; if `as_pair` projected the image, the mask is projected likewise."""
    grid = _in_plane(mask, image)
    return grid is not None and image.grid.same_space(grid, TOLERANCE)
