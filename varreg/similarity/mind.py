r"""Self-similarity descriptors (MIND-SSC), independent of the contrast.

The descriptor of a voxel x compares patches around its neighbours: for each pair (r, s) of neighbours at right
angles, 12 pairs of six neighbours in 3D and 4 pairs of four in 2D,

.. math:: D_{rs}(x) = G \ast \bigl(I(x + r) - I(x + s)\bigr)^2, \qquad
          c_{rs}(x) = \exp\Bigl(-\frac{D_{rs}(x) - \min D(x)}{V(x)}\Bigr), \qquad
          V = \mathrm{mean}_{rs}(D_{rs} - \min D),

with a Gaussian G for the patches and V clipped to a range around its mean over the image, so that noise in
homogeneous regions is not amplified (Heinrich et al., MICCAI 2013, doi 10.1007/978-3-642-40811-3_24).  The channels
are warped like images and compared by squared differences (:mod:`varreg.similarity.ssd`); they are
computed once per level, so that the gradient is exact.

Directions and lengths are those of the fixed grid for both images, in mm: grids may differ in
orientation, order of axes and spacing.  Rotations in the headers are taken into account, the rotation of the
affine map is not.
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

#: Distance of the neighbours, in voxels of the finest axis of the fixed level.
DISTANCE = 1.0
#: Standard deviation of the patches, in the same unit.
PATCH_WIDTH = 0.7
#: V is clipped to this multiple of its mean over the image from below, and to the inverse multiple from above.
LEAST_VARIANCE = 1e-3
#: V of a constant image, where D is 0.
TINY = 1e-20
#: Tolerance, in voxels, within which offsets are integers.
ROUNDING = 1e-6


class SelfSimilarity(SquaredDifferences):
    """Squared differences of MIND-SSC channels: see :mod:`varreg.similarity.mind`.

    Parameters are those of :class:`varreg.similarity.warped.WarpedSimilarity`.
    """

    def channels(self, image: LevelImage) -> list[Array]:
        """Descriptor of an image, C arrays (*S)."""
        return self_similarity(image, self.fixed_grid, self.threads)


def self_similarity(image: LevelImage, frame: Grid, threads: int = 1) -> list[Array]:
    """MIND-SSC descriptor of an image; 1 where it is constant.

    Parameters
    ----------
    image : LevelImage
        Voxels outside its mask, or outside the field of view, are excluded from the patches.
    frame : Grid
        Grid whose axes are the directions of the neighbours, and whose finest spacing is their unit.
    threads : int

    Returns
    -------
    list of (*S) array
        4 channels in 2D, 12 in 3D, in (0, 1].
    """
    length = float(frame.spacing.min())
    weight = np.ones_like(image.data) if image.mask is None else image.mask.astype(image.data.dtype)
    patch = [gaussian(PATCH_WIDTH * length / h) for h in image.grid.spacing]
    neighbours = _neighbours(image.data, weight, _offsets(image.grid, frame, DISTANCE * length))
    pairs = [
        (here, there) for here, there in itertools.combinations(range(len(neighbours)), 2)
        if here // 2 != there // 2  # excludes opposite neighbours along one axis
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
    """Offsets of both neighbours along every axis of `frame`, `length` mm away, in voxels of `grid`."""
    to_voxels = np.linalg.inv(grid.affine[:-1, :-1])
    steps = (length * to_voxels @ axis for axis in frame.direction.T)
    return [sign * step for step in steps for sign in (1, -1)]


def _neighbours(image: Array, weight: Array, offsets: Sequence[Array]) -> list[tuple[Array, Array]]:
    """Value and weight of the neighbours of every voxel at the offsets (voxels)."""
    found = []
    for offset in offsets:
        near = _shifted(weight, offset)
        value = _shifted(image * weight, offset)
        found.append((np.divide(value, near, out=value, where=near > 0), near))
    return found


def _shifted(image: Array, offset: Array) -> Array:
    """Image at x + offset by linear interpolation, 0 outside the field of view."""
    for axis, step in enumerate(offset):
        whole = math.floor(step + ROUNDING)
        part = step - whole
        shifted = _moved(image, axis, whole)
        if part > ROUNDING:
            shifted = (1 - part) * shifted + part * _moved(image, axis, whole + 1)
        image = shifted.astype(image.dtype, copy=False)
    return image


def _moved(image: Array, axis: int, by: int) -> Array:
    """Image shifted by a number of voxels along an axis, 0 outside the field of view."""
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
    """D of two neighbours: weighted mean squared difference over a patch, 0 where the weights are 0."""
    weight = here[1] * there[1]
    total = blurred(weight, patch)
    weight *= np.square(here[0] - there[0])
    distance = blurred(weight, patch)
    return np.divide(distance, total, out=np.zeros_like(distance), where=total > 0)


def _variance(variance: Array, weight: Array) -> Array:
    """V, clipped to a positive range around its mean over the image."""
    total = max(float(weight.sum(dtype=np.float64)), 1.0)
    typical = float((variance * weight).sum(dtype=np.float64)) / total
    least = max(LEAST_VARIANCE * typical, TINY)
    return np.clip(variance, least, max(typical / LEAST_VARIANCE, TINY))
