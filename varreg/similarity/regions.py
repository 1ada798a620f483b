"""Regions: disjoint boxes of the fixed image within which intensities are compared.

One table for the whole image cannot know that the same T1 value means grey matter here and, under a
bias field, white matter there.  regional mutual information,

.. math:: \\mathrm{MI}(F; M \\mid \\text{region}) = \\sum_r \\frac{N_r}{N_F}\\,\\mathrm{MI}_r,

has one table per box.  Which box a voxel belongs to does not depend on the displacement, so the
energy stays as smooth as with one table, and a voxel costs the same three additions: the region is
part of its label (Studholme et al., IEEE Trans. Medical Imaging 25, 2006, introduced regional mutual information).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import Grid


def region_counts(grid: Grid, regions: int) -> tuple[int, ...]:
    """Boxes along each axis: `regions` along the longest, nearly cubes in mm, never below 4 voxels."""
    share = grid.extent / grid.extent.max()
    counts = np.maximum(np.round(regions * share), 1).astype(int)
    return tuple(int(min(c, max(n // 4, 1))) for c, n in zip(counts, grid.shape, strict=True))


def region_cuts(voxels: int, count: int) -> NDArray[np.int64]:
    """First voxel of each of `count` boxes along an axis, and the end, (count + 1,).

    Boxes of a mirrored image are mirrored boxes: a voxel whose middle is on an edge is in the outer
    box.
    """
    middle = 2 * np.arange(voxels) + 1
    box = middle * count // (2 * voxels)
    box = np.where(middle < voxels, count - 1 - box[::-1], box)
    return np.searchsorted(box, np.arange(count + 1)).astype(np.int64)
