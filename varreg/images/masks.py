"""What is accepted as a mask of an image: which voxels are inside, and what is unusual about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import GeometryError, InputError
from ..geometry.grid import Grid
from ..geometry.resampling import affine_coordinates, voxel_matrix, warp
from ..optimise.check import Check
from . import slices
from .frames import STEEPEST, projected
from .image import Image
from .loading import loaded
from .pictures import PICTURE_SUFFIXES

#: Voxels inside the mask must be at least this part of the largest value of a mask.
LEAST = 0.5
#: Fewest voxels inside; a joint histogram of fewer says nothing.
FEWEST = 16
#: Voxel; headers rounded by other tools, far below what a mask can express.
TOLERANCE = 1e-2
#: Share of either field of view in the other one, below which a mask is not of this image.
OVERLAP = 0.5
#: Share of the voxels below which a mask may be one of what was to be left out.
LITTLE = 0.03


@dataclass(frozen=True)
class Mask:
    """The voxels of an image inside its mask.

    Attributes
    ----------
    inside : (*S) bool array or None
        None if all do.
    checks : tuple of Check
        What is odd about the mask: only what did not pass.
    notes : tuple of str
        How much it takes.
    """

    inside: NDArray[np.bool_] | None
    checks: tuple[Check, ...] = ()
    notes: tuple[str, ...] = ()


def as_mask(
    value: Any, image: Image, *, argument: str, function: str = "varreg.solve"
) -> np.ndarray | None:
    """The voxels inside the mask, of anything that is a mask; see :func:`read_mask`.

    Examples
    --------
    >>> image = Image.from_array(np.eye(8))
    >>> int(as_mask(np.ones((8, 8)), image, argument="fixed_mask").sum())
    64
    """
    return read_mask(value, image, argument=argument, function=function).inside


def read_mask(value: Any, image: Image, *, argument: str, function: str = "varreg.solve") -> Mask:
    """Take anything that is a mask of an image: what is at least half of its largest value is inside.

    Parameters
    ----------
    value : None, Image, array-like, nibabel image, str or PathLike
        On the image's grid; or with a place of its own, and then on any grid: each voxel of the image takes the
        nearest voxel of the mask, and counts not where there is none.
    image : Image
        What is masked; what holds no data counts in no case.
    argument, function : str
        Names for the messages.

    Returns
    -------
    Mask

    Raises
    ------
    InputError
        If an array has another shape, no value is positive, or fewer than 16 voxels are inside.
    GeometryError
        If it lies elsewhere than the image.
    FileError
        If its file cannot be read.

    Examples
    --------
    >>> soft = np.linspace(0, 1, 64).reshape(8, 8)
    >>> mask = read_mask(soft, Image.from_array(np.eye(8)), argument="fixed_mask")
    >>> mask.notes
    ('`fixed_mask` contains 50 % of the voxels.',)
    """
    if value is None:
        return Mask(image.valid)
    mask, has_affine = loaded(value, argument=argument, function=function)
    data, moved = _on_grid(mask, image, has_affine, argument, function)
    largest = float(data.max())
    if not largest > 0:
        raise InputError(
            f"{function}: `{argument}` has no positive value (0 voxels inside): its largest "
            f"is {largest:g}. Voxels of at least half the largest value are inside; check "
            "that the mask is not empty."
        )
    inside = data >= LEAST * largest
    share = float(inside.mean())
    if image.valid is not None:
        inside &= image.valid
    count = int(inside.sum())
    if count < FEWEST:
        raise InputError(
            f"{function}: `{argument}` has {count} voxels inside (at least half of its largest value, {largest:g}); "
            f"at least {FEWEST} are needed. Check that the mask is not empty."
        )
    resampled = ", by the nearest voxel of another grid" if moved else ""
    note = f"`{argument}` contains {100 * share:.3g} % of the voxels{resampled}."
    return Mask(np.asarray(inside), _oddities(data, largest, share, argument), (note,))


def _oddities(
    data: NDArray[np.float32], largest: float, share: float, argument: str
) -> tuple[Check, ...]:
    """Values between, and masks of almost nothing or of everything."""
    name = argument.replace("_", " ")
    found = []
    between = float(np.mean((data != 0) & (data != largest)))
    if between > 0:
        found.append(
            Check(
                name, between, 0.0, False,
                f"`{argument}` has values other than 0 and {largest:g} in {100 * between:.3g} "
                f"% of its voxels: those of at least {LEAST * largest:g}, half of the "
                f"largest, are inside ({100 * share:.3g} %).",
                "Pass 1 inside the mask and 0 outside, e.g. mask > 0.",
            )
        )  # fmt: skip
    if share < LITTLE:
        found.append(
            Check(
                f"{name} share", share, LITTLE, False,
                f"`{argument}` contains {100 * share:.2g} % of the voxels.",
                "A mask is 1 for voxels to be compared: invert it (1 - mask) if it marks a "
                "region to exclude, such as a lesion.",
            )
        )  # fmt: skip
    elif share == 1:
        found.append(
            Check(
                f"{name} share", 1.0, 1.0, False, (f"`{argument}` contains all voxels and "
                                                  "excludes nothing."),
                "Check that it is the mask you mean, or leave it out.",
            )
        )  # fmt: skip
    return tuple(found)


def _on_grid(
    mask: Image, image: Image, has_affine: bool, argument: str, function: str
) -> tuple[NDArray[np.float32], bool]:
    """The mask on the grid of the image, 0 where it holds no data; and whether it was on another."""
    data = mask.data if mask.valid is None else mask.data * mask.valid
    same_shape = mask.grid.shape == image.grid.shape
    picture = mask.name.lower().endswith(PICTURE_SUFFIXES)  # which often states some pixel size
    if same_shape and (picture or not has_affine or _same_place(mask, image)):
        return data, False
    if not has_affine or mask.grid.dim != image.grid.dim:
        raise InputError(
            f"{function}: `{argument}` has shape {mask.grid.shape} and its image has "
            f"{image.grid.shape}; make the mask on the image's own grid, or pass one that says where it is."
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
    """The grid of a mask in the world of the image; None of a slice in another plane."""
    if mask.frame is None or image.frame is None:
        return mask.grid
    if slices.angle_between(mask.frame, image.frame) > STEEPEST:
        return None
    mask = projected(mask, image.frame)
    shift = (mask.volume_affine - image.volume_affine)[:3, 3]
    apart = abs(image.frame[:3, 2] @ shift)
    return mask.grid if apart <= TOLERANCE * float(image.grid.spacing.min()) else None


def _same_place(mask: Image, image: Image) -> bool:
    """Compare places in 3D; a slice that `as_pair` projected is met by projecting its mask too."""
    grid = _in_plane(mask, image)
    return grid is not None and image.grid.same_space(grid, TOLERANCE)
