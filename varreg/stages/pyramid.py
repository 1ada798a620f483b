"""Multiresolution pyramid: levels, displacement grids, and options that depend on the level or dimension."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from ..geometry.grid import Grid
from ..images.level_image import level_shape
from ..options.options import Options

#: Least number of voxels of the coarsest level along a typical axis; the largest is twice as many.
COARSEST = 40
#: Nodes of the displacement grid per smoothness length.
NODES_PER_LENGTH = 1
#: Default smoothness length of smooth and of fine maps, as a fraction of the geometric mean extent.
LENGTH_SHARE, FINE_LENGTH_SHARE = 0.05, 0.015
#: Least default smoothness length of fine maps, in voxels: closer nodes would fit noise.
FINE_VOXELS = 2.0


def level_factors(grid: Grid, options: Options) -> tuple[float, ...]:
    """Coarsening factors, coarse to fine: (4, 2, 1) for 224 x 224."""
    if options.levels is not None:
        return options.levels
    typical = float(np.exp(np.mean(np.log(grid.extent)))) / float(grid.spacing.min())
    count = max(int(np.floor(np.log2(typical / COARSEST))), 0)
    return tuple(float(2**k) for k in range(count, -1, -1))


def node_shape(grid: Grid, options: Options, length: float | None = None) -> tuple[int, ...]:
    """Shape of the displacement grid: one node per voxel for the H1 energy, else a spacing of at most ell.

    The numbers of nodes are efficient for Fourier transforms.

    Parameters
    ----------
    grid : Grid
        Grid of the fixed image.
    options : Options
    length : float, optional
        ell in mm, by default its value at the finest level.

    Returns
    -------
    tuple of int
    """
    length = smoothness_length(grid, options) if length is None else length
    if length == 0:
        return grid.shape
    counts = level_shape(grid, max(float(grid.spacing.min()), length / NODES_PER_LENGTH))
    fast = (next_fast_len(count, real=True) for count in counts)
    return tuple(min(n, count) for n, count in zip(grid.shape, fast, strict=True))


def smoothness_length(grid: Grid, options: Options) -> float:
    """ell in mm: the option, or by default a fraction of the field of view."""
    if options.smoothness_length is not None:
        return float(options.smoothness_length)
    extent = float(np.exp(np.mean(np.log(grid.extent))))
    if options.regularity == "fine":
        return max(FINE_LENGTH_SHARE * extent, FINE_VOXELS * float(grid.spacing.min()))
    return LENGTH_SHARE * extent


def iteration_budget(options: Options, level: int, levels: int, dimension: int) -> int:
    """Largest number of iterations at a level (0 is the coarsest).

    The last numbers of the option apply to the finest levels; if there are fewer numbers than levels, the last
    number is repeated.
    """
    budget = options.decided(dimension).iterations
    assert budget is not None
    if not isinstance(budget, tuple):
        return budget
    place = level + max(len(budget) - levels, 0)
    return budget[min(place, len(budget) - 1)]


def smoothness_weight(options: Options, dimension: int) -> float:
    """mu: the option, or its default for the dimension."""
    weight = options.decided(dimension).smoothness_weight
    assert weight is not None
    return weight


def smoothness_order(options: Options, dimension: int) -> int:
    """m: the option, or its default for the regularity."""
    order = options.decided(dimension).smoothness_order
    assert order is not None
    return order


def volume_weight(options: Options, dimension: int) -> float:
    """nu: the option, or its default for the regularity."""
    weight = options.decided(dimension).volume_weight
    assert weight is not None
    return weight
