"""Regions: disjoint boxes of the fixed image within which intensities are compared.

One table for the whole image cannot know that the same T1 value means grey matter here and, under a
bias field, white matter there.  Mutual information conditioned on place,

.. math:: \\mathrm{MI}(F; M \\mid \\text{region}) = \\sum_r \\frac{N_r}{N_F}\\,\\mathrm{MI}_r,

has one table per box.  Which box a voxel belongs to does not depend on the displacement, so the
energy stays as smooth as with one table, and a voxel costs the same three additions: the region is
part of its label (Studholme et al., IEEE Trans. Medical Imaging 25, 2006, introduced regional mutual information).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .grid import Grid


def region_counts(grid: Grid, regions: int) -> tuple[int, ...]:
    """Boxes along each axis: `regions` along the longest, nearly cubes in mm, never below 4 voxels."""
    share = grid.extent / grid.extent.max()
    counts = np.maximum(np.round(regions * share), 1).astype(int)
    return tuple(int(min(c, max(n // 4, 1))) for c, n in zip(counts, grid.shape, strict=True))


def region_index(shape: tuple[int, ...], counts: tuple[int, ...]) -> NDArray[np.int32]:
    """Number of the box of each voxel, (*S); boxes of a mirrored image are mirrored boxes."""
    index = np.zeros((), np.int32)
    for axis, (voxels, count) in enumerate(zip(shape, counts, strict=True)):
        along = [1] * len(shape)
        along[axis] = voxels
        middle = 2 * np.arange(voxels) + 1
        box = middle * count // (2 * voxels)
        # a voxel whose middle is on an edge is in the outer box
        box = np.where(middle < voxels, count - 1 - box[::-1], box).astype(np.int32)
        index = index * np.int32(count) + box.reshape(along)
    return index
