"""Regions of regional mutual information: disjoint boxes of the fixed image.

A joint histogram of the whole image cannot distinguish grey matter in one region from white matter of the
same intensity in another, as under a bias field.  Regional mutual information,

.. math:: \\mathrm{MI}(F; M \\mid \\text{region}) = \\sum_r \\frac{N_r}{N_F}\\,\\mathrm{MI}_r,

has one joint histogram per box (Studholme et al., IEEE Trans. Medical Imaging 25, 2006).  The box of a voxel does
not depend on the displacement, so that the energy is as smooth as with one histogram, and the cost per voxel is the
same: the region is part of the row index.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..geometry.grid import Grid


def region_counts(grid: Grid, regions: int) -> tuple[int, ...]:
    """Number of boxes along each axis: `regions` along the longest, nearly cubic in mm, at least 4 voxels long."""
    share = grid.extent / grid.extent.max()
    counts = np.maximum(np.round(regions * share), 1).astype(int)
    return tuple(int(min(c, max(n // 4, 1))) for c, n in zip(counts, grid.shape, strict=True))


def region_cuts(voxels: int, count: int) -> NDArray[np.int64]:
    """First voxel of each of `count` boxes along an axis, and the end, (count + 1,).

    The boxes are symmetric under reflection: a voxel whose centre is on an edge belongs to the outer
    box.
    """
    middle = 2 * np.arange(voxels) + 1
    box = middle * count // (2 * voxels)
    box = np.where(middle < voxels, count - 1 - box[::-1], box)
    return np.searchsorted(box, np.arange(count + 1)).astype(np.int64)
