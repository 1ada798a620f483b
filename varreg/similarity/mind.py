r"""Self-similarity descriptors (MIND-SSC): what is like what around a voxel, in any contrast.

Around a voxel x the image is compared with itself: for each pair (r, s) of neighbours at right
angles, 12 of the six in 3D and 4 of the four in 2D,

.. math:: D_{rs}(x) = G \ast \bigl(I(x + r) - I(x + s)\bigr)^2, \qquad
          c_{rs}(x) = \exp\Bigl(-\frac{D_{rs}(x) - \min D(x)}{V(x)}\Bigr), \qquad
          V = \mathrm{mean}_{rs}(D_{rs} - \min D),

with a Gaussian G for the patches and V kept near its mean over the image, so that noise in a flat
place stays small (Heinrich et al., MICCAI 2013, doi 10.1007/978-3-642-40811-3_24).  These channels
are warped like images and compared by their squares (:mod:`varreg.similarity.ssd`); they are
made once per level, so that their gradient is exact.

Directions and lengths are those of the fixed grid for both images, in mm: grids may differ in
orientation, order of axes and spacing.  Rotations are taken from the headers; what the affine map
adds is not followed.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from ..backends.arrays import Array
from ..backends.threads import each
from ..geometry.grid import Grid
from ..images.level_image import LevelImage
from .ssd import SquaredDifferences
from .windows import blurred, gaussian

#: Neighbours are this far away, in voxels of the finest axis of the fixed level.
DISTANCE = 1.0
#: Standard deviation of the patches, in the same unit.
PATCH_WIDTH = 0.7
#: V stays between this share of its mean over the image and the inverse of it.
LEAST_VARIANCE = 1e-3
#: V of an image that is constant, where D is 0.
TINY = 1e-20
#: Offsets this near a whole voxel are one, in voxels.
ROUNDING = 1e-6


class SelfSimilarity(SquaredDifferences):
    """Squared differences of MIND-SSC channels: see :mod:`varreg.similarity.mind`.

    Parameters are those of :class:`varreg.similarity.warped.WarpedSimilarity`.
    """

    def channels(self, image: LevelImage) -> list[Array]:
        """The descriptor of an image, C times (*S)."""
        return self_similarity(image, self.fixed_grid, self.threads)


def self_similarity(image: LevelImage, frame: Grid, threads: int = 1) -> list[Array]:
    """The descriptor of an image, 4 or 12 times (*S), in (0, 1]; 1 where it is constant.

    Parameters
    ----------
    image : LevelImage
        Voxels outside its mask, and beyond its border, are compared with nothing.
    frame : Grid
        Its axes are the directions of the neighbours, its finest spacing their unit.
    threads : int
    """
    length = float(frame.spacing.min())
    weight = np.ones_like(image.data) if image.mask is None else image.mask.astype(image.data.dtype)
    patch = [gaussian(PATCH_WIDTH * length / h) for h in image.grid.spacing]
    neighbours = _neighbours(image.data, weight, _offsets(image.grid, frame, DISTANCE * length))
    pairs = [
        (here, there) for here, there in itertools.combinations(range(len(neighbours)), 2)
        if here // 2 != there // 2  # the two of one axis are opposite
    ]  # fmt: skip
    distance = each(
        lambda pair: _distance(neighbours[pair[0]], neighbours[pair[1]], patch), pairs, threads
    )
    least = functools.reduce(np.minimum, distance)
    for channel in distance:
        channel -= least
    variance = _variance(functools.reduce(np.add, distance) / len(pairs), weight)
    return each(lambda channel: np.exp(-channel / variance), distance, threads)


def _offsets(grid: Grid, frame: Grid, length: float) -> list[Array]:
    """Both neighbours along every axis of `frame`, `length` mm away, in voxels of `grid`."""
    to_voxels = np.linalg.inv(grid.affine[:-1, :-1])
    steps = (length * to_voxels @ axis for axis in frame.direction.T)
    return [sign * step for step in steps for sign in (1, -1)]


def _neighbours(image: Array, weight: Array, offsets: Sequence[Array]) -> list[tuple[Array, Array]]:
    """Value and weight of every voxel's neighbours at the offsets (voxels)."""
    found = []
    for offset in offsets:
        near = _shifted(weight, offset)
        value = _shifted(image * weight, offset)
        found.append((np.divide(value, near, out=value, where=near > 0), near))
    return found


def _shifted(image: Array, offset: Array) -> Array:
    """The image at x + offset, linear between voxels, 0 beyond its border."""
    for axis, step in enumerate(offset):
        whole = math.floor(step + ROUNDING)
        part = step - whole
        shifted = _moved(image, axis, whole)
        if part > ROUNDING:
            shifted = (1 - part) * shifted + part * _moved(image, axis, whole + 1)
        image = shifted.astype(image.dtype, copy=False)
    return image


def _moved(image: Array, axis: int, by: int) -> Array:
    """The image at x + by along an axis, 0 beyond its border."""
    if by == 0:
        return image
    moved = np.zeros_like(image)
    here, there = np.moveaxis(moved, axis, 0), np.moveaxis(image, axis, 0)
    if by > 0:
        here[:-by] = there[by:]
    else:
        here[-by:] = there[:by]
    return moved


def _distance(
    here: tuple[Array, Array], there: tuple[Array, Array], patch: Sequence[Array]
) -> Array:
    """D of two neighbours: weighted mean squared difference over a patch, 0 where there is none."""
    weight = here[1] * there[1]
    total = blurred(weight, patch)
    weight *= np.square(here[0] - there[0])
    distance = blurred(weight, patch)
    return np.divide(distance, total, out=np.zeros_like(distance), where=total > 0)


def _variance(variance: Array, weight: Array) -> Array:
    """V, kept near its mean over the image and above 0."""
    total = max(float(weight.sum(dtype=np.float64)), 1.0)
    typical = float((variance * weight).sum(dtype=np.float64)) / total
    least = max(LEAST_VARIANCE * typical, TINY)
    return np.clip(variance, least, max(typical / LEAST_VARIANCE, TINY))
