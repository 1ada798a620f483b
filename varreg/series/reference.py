"""The reference of an image series, prepared once for all volumes.

A volume whose voxels coincide with those of the reference is not blurred by interpolation, and one shifted by half a
voxel is blurred most: the similarity has artefacts at every half voxel, and favours integer shifts.  So the reference is
sampled (by cubic splines) on a lattice that is rotated relative to the voxels and has another spacing: its points have
all positions relative to the voxels of a volume, for any motion, and the artefacts cancel.  Both images are smoothed
equally before.

The default mask is the head and its surroundings, except for a border along the field of view, whose points would be
in view for some motions only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from ..backends.arrays import Array
from ..geometry.grid import Grid
from ..geometry.matrices import transform_points
from ..images.background import background_value
from ..images.image import Image
from ..images.intensities import robust_range, unit_intensities
from ..images.level_image import LevelImage

#: Points of the finer lattice in the field of view, unless there are fewer voxels.
POINTS = 80_000
#: Spacing of the coarser lattice, relative to the finer one.
COARSER = 1.6
#: Standard deviation of the smoothing of both images, in voxels (geometric mean of their sizes).
SMOOTHING = 0.7
#: Variance (voxels^2) added by linear interpolation along an axis, the mean of f (1 - f) over fractions f of a voxel:
#: it blurs every sampled volume, and the reference is blurred equally, or an affine map would compensate the difference.
INTERPOLATED = 1 / 6
#: Smallest share of the smoothing weights on voxels with data, for a voxel with data.
WHOLE = 0.95
#: Rotation of the lattice, radians about the three axes, so that no axes or planes of lattice and voxels nearly coincide.
TURN = np.deg2rad(20) * np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
#: Difference from the background, in unit intensities, for voxels of the head.
HEAD = 0.15
#: Lattice points around the head that are included, and next to the border that are excluded.
AROUND, BORDER = 2, 1.0
#: If the head contains less than this share of the points, all are included.
LEAST_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Reference:
    """An image to which volumes are aligned.

    Parameters
    ----------
    image : Image
    mask : (*S) bool or float array or None
        Voxels inside the mask, or their weights; by default the head, which is detected.
    is_mean : bool
        Whether it is the mean of resampled volumes.
    """

    image: Image
    mask: NDArray[Any] | None = None
    is_mean: bool = False

    @cached_property
    def levels(self) -> tuple[LevelImage, ...]:
        """The coarser and the finer lattice."""
        data, valid = smoothed(self.image, 0.0 if self.is_mean else INTERPOLATED)
        limits = robust_range(data)
        unit = unit_intensities(data, limits)
        background, spacing = background_value(unit), fine_spacing(self.image.grid)
        unit = ndimage.spline_filter(unit, 3, output=np.float32)
        made = partial(self._lattice, unit, valid, background)
        return made(COARSER * spacing, AROUND // 2, BORDER / COARSER), made(spacing, AROUND, BORDER)

    @cached_property
    def centre(self) -> Array:
        """Centre of mass of the mask, world (3,)."""
        return np.asarray(self._points.mean(1))

    @cached_property
    def spread(self) -> Array:
        """Second moments of the mask about its centre, (3, 3) in mm^2."""
        return np.asarray(np.cov(self._points, bias=True))

    @property
    def _points(self) -> Array:
        fine = self.levels[1]
        assert fine.counted is not None
        return fine.grid.voxel_to_world(np.array(np.nonzero(fine.counted), float))

    def _lattice(
        self, coefficients: Array, valid: NDArray[np.bool_] | None, background: float | None, spacing: float,
        around: int, border: float,
    ) -> LevelImage:  # fmt: skip
        """The reference on a rotated lattice, with the mask of its points."""
        own, grid = self.image.grid, turned_lattice(self.image.grid, spacing)
        place = transform_points(np.linalg.inv(own.affine) @ grid.affine, grid.coordinates())
        data = ndimage.map_coordinates(
            coefficients, place, output=np.float32, order=3, mode="nearest", prefilter=False
        )
        data = np.clip(data, 0, 1)
        counts = head(data, background, around) if self.mask is None else _at(self.mask, place)
        inside = np.ones(data.shape, bool)
        if valid is not None:
            away = ndimage.distance_transform_edt(valid, sampling=own.spacing)
            inside &= _at(away > border * spacing, place)
        for coordinate, n, size in zip(place, own.shape, own.spacing, strict=True):
            edge = min(border * spacing / size, (n - 1) / 4)
            inside &= (coordinate >= edge) & (coordinate <= n - 1 - edge)
        return LevelImage(data, counts * inside, grid, counts.dtype != bool)


def _at(mask: NDArray[Any], place: Array) -> NDArray[Any]:
    """Mask or weights at points (voxels)."""
    share = ndimage.map_coordinates(mask.astype(np.float32), place, order=1)
    return np.asarray(share > 0.5) if mask.dtype == bool else np.asarray(share)


def head(data: Array, background: float | None, around: int) -> NDArray[np.bool_]:
    """Dilated foreground of an image in unit intensities; the whole image if it has no background."""
    if background is None:
        return np.ones(data.shape, bool)
    found = ndimage.binary_opening(np.abs(data - np.float32(background)) > HEAD)
    if found.mean() < LEAST_SHARE:
        return np.ones(data.shape, bool)
    return np.asarray(ndimage.binary_dilation(found, iterations=around)) if around else found


def fine_spacing(grid: Grid) -> float:
    """Spacing of the finer lattice, mm: the mean voxel size, or larger to limit the number of points."""
    return max(voxel_size(grid), float(np.prod(grid.extent) / POINTS) ** (1 / 3))


def voxel_size(grid: Grid) -> float:
    """Geometric mean of the voxel sizes, mm."""
    return float(np.prod(grid.spacing)) ** (1 / 3)


def turned_lattice(grid: Grid, spacing: float) -> Grid:
    """A lattice over the field of view of a grid, rotated relative to it.

    Examples
    --------
    >>> turned_lattice(Grid.with_spacing((10, 10, 10)), 2.0).spacing.round(6).tolist()
    [2.0, 2.0, 2.0]
    """
    linear = spacing * np.linalg.qr(grid.direction)[0] @ Rotation.from_rotvec(TURN).as_matrix()
    corners = grid.direction * (grid.extent / 2)
    reach = np.abs(np.linalg.solve(linear, corners)).sum(1)
    shape = tuple(int(n) for n in np.maximum(2 * np.ceil(reach) + 1, 4))
    affine = np.eye(4)
    affine[:3, :3] = linear
    affine[:3, 3] = grid.centre - linear @ ((np.array(shape) - 1) / 2)
    return Grid(shape, affine)


def smoothed(
    image: Image, further: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
    """A smoothed image, (*S), and the mask of its data: voxels smoothed with too few voxels with data are excluded.

    further: variance in voxels^2 along each axis, besides the smoothing of all images.
    """
    sigma = np.sqrt((SMOOTHING * voxel_size(image.grid) / image.grid.spacing) ** 2 + further)
    if image.valid is None:
        return _gaussian(image.data, sigma), None
    share = _gaussian(image.valid.astype(np.float32), sigma)
    data = _gaussian(np.where(image.valid, image.data, np.float32(0)), sigma)
    known = share > WHOLE
    return np.where(known, data / np.maximum(share, WHOLE), image.data), known


def _gaussian(data: NDArray[np.float32], sigma: Array) -> NDArray[np.float32]:
    result: Any = ndimage.gaussian_filter(data, sigma, mode="nearest", truncate=3.0)
    return np.asarray(result, np.float32)
