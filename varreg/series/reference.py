"""The reference of a series, made ready once for all volumes.

A volume that lies exactly on the voxels of the reference is not blurred by interpolation, and one half a voxel away is
blurred most: similarity has a dent at every half voxel, and is drawn to whole ones.  So the reference is read (by cubic
splines) on a lattice that is turned against the voxels and has another spacing: its points meet the voxels of a volume
in every possible way at once, whatever the motion is, and the dents cancel.  Both images are smoothed alike before that.

The default mask is the head and its surroundings, except for a border along the field of view: points that a motion carries
out of the volume would be in view for one motion and not for another.
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

#: Points of the finer lattice in the field of view, unless its voxels are fewer.
POINTS = 80_000
#: Spacing of the coarser lattice, in units of that of the finer one.
COARSER = 1.6
#: Of the smoothing of both images, in voxels (geometric mean of their sizes).
SMOOTHING = 0.7
#: Variance (voxels^2) that linear interpolation adds along an axis, the mean of f (1 - f) over fractions f of a voxel: a volume
#: is blurred by it wherever it is read, and the reference by as much, or an affine map would make up for the difference.
INTERPOLATED = 1 / 6
#: Of the weights of a smoothed voxel those of data; with less it is none.
WHOLE = 0.95
#: Turn of the lattice, radians about the three axes: no axis, and no plane, of the one is near any of the other.
TURN = np.deg2rad(20) * np.array([1.0, 2.0, 3.0]) / np.sqrt(14.0)
#: Of unit intensities: what differs this much from the background is the head.
HEAD = 0.15
#: Points of the finer lattice around the head that count, and next to the border that do not.
AROUND, BORDER = 2, 1.0
#: With fewer points in the head than this share of all, all count.
LEAST_SHARE = 0.02


@dataclass(frozen=True, eq=False)
class Reference:
    """An image that volumes are aligned to.

    Parameters
    ----------
    image : Image
    mask : (*S) bool or float array or None
        Voxels that are compared, or their weights; by default the head, which is detected.
    is_mean : bool
        Whether it is the mean of interpolated volumes.
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
        """The reference on a turned lattice, and which of its points count."""
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
    """Which points (voxels) lie in a mask, or their weights."""
    share = ndimage.map_coordinates(mask.astype(np.float32), place, order=1)
    return np.asarray(share > 0.5) if mask.dtype == bool else np.asarray(share)


def head(data: Array, background: float | None, around: int) -> NDArray[np.bool_]:
    """Where an image in unit intensities shows no background, and so many voxels around; all of it without one."""
    if background is None:
        return np.ones(data.shape, bool)
    found = ndimage.binary_opening(np.abs(data - np.float32(background)) > HEAD)
    if found.mean() < LEAST_SHARE:
        return np.ones(data.shape, bool)
    return np.asarray(ndimage.binary_dilation(found, iterations=around)) if around else found


def fine_spacing(grid: Grid) -> float:
    """Spacing of the finer lattice, mm: of voxels of the mean size, or so that it has a certain number of points."""
    return max(voxel_size(grid), float(np.prod(grid.extent) / POINTS) ** (1 / 3))


def voxel_size(grid: Grid) -> float:
    """Geometric mean of the voxel sizes, mm."""
    return float(np.prod(grid.spacing)) ** (1 / 3)


def turned_lattice(grid: Grid, spacing: float) -> Grid:
    """A lattice over the field of view of a grid, turned against it.

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
    """An image as it is compared, (*S), and where it is data: what is smoothed with voxels without data is none.

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
