"""Image levels: the same fields of view with fewer voxels, coarse to fine."""

from __future__ import annotations

import numpy as np
from scipy.fft import next_fast_len

from ..geometry.grid import Grid
from ..images.level_image import level_shape
from ..options.options import Options

#: The coarsest level has between this many voxels and twice as many along a typical axis.
COARSEST = 40
#: Nodes of the displacement grid per smoothness length.
NODES_PER_LENGTH = 1
#: Shares of the geometric mean extent that the smoothness length takes by default.
LENGTH_SHARE, FINE_LENGTH_SHARE = 0.05, 0.015
#: Fewest voxels per length of a fine map by default: closer nodes would follow noise.
FINE_VOXELS = 2.0


def level_factors(grid: Grid, options: Options) -> tuple[float, ...]:
    """Coarsening factors, coarse to fine: (4, 2, 1) for 224 x 224."""
    if options.levels is not None:
        return options.levels
    typical = float(np.exp(np.mean(np.log(grid.extent)))) / float(grid.spacing.min())
    count = max(int(np.floor(np.log2(typical / COARSEST))), 0)
    return tuple(float(2**k) for k in range(count, -1, -1))


def node_shape(grid: Grid, options: Options, length: float | None = None) -> tuple[int, ...]:
    """Nodes of the displacement grid: every voxel for the H1 energy, else at most ell apart.

    Their numbers are good for Fourier transforms.

    Parameters
    ----------
    grid : Grid
    options : Options
    length : float, optional
        ell in mm, by default that of the finest level.
    """
    length = smoothness_length(grid, options) if length is None else length
    if length == 0:
        return grid.shape
    counts = level_shape(grid, max(float(grid.spacing.min()), length / NODES_PER_LENGTH))
    fast = (next_fast_len(count, real=True) for count in counts)
    return tuple(min(n, count) for n, count in zip(grid.shape, fast, strict=True))


def smoothness_length(grid: Grid, options: Options) -> float:
    """ell in mm: the option, or a share of the field of view."""
    if options.smoothness_length is not None:
        return float(options.smoothness_length)
    extent = float(np.exp(np.mean(np.log(grid.extent))))
    if options.regularity == "fine":
        return max(FINE_LENGTH_SHARE * extent, FINE_VOXELS * float(grid.spacing.min()))
    return LENGTH_SHARE * extent


def iteration_budget(options: Options, level: int, levels: int, dimension: int) -> int:
    """Largest number of iterations at one of some levels (0 is the coarsest).

    Of fewer levels than numbers the finest have the last ones; further levels have the last.
    """
    budget = options.decided(dimension).iterations
    assert budget is not None
    if not isinstance(budget, tuple):
        return budget
    place = level + max(len(budget) - levels, 0)
    return budget[min(place, len(budget) - 1)]


def smoothness_weight(options: Options, dimension: int) -> float:
    """mu: the option, or what the dimension decides."""
    weight = options.decided(dimension).smoothness_weight
    assert weight is not None
    return weight


def smoothness_order(options: Options, dimension: int) -> int:
    """m: the option, or what the regularity decides."""
    order = options.decided(dimension).smoothness_order
    assert order is not None
    return order


def volume_weight(options: Options, dimension: int) -> float:
    """nu: the option, or what the regularity decides."""
    weight = options.decided(dimension).volume_weight
    assert weight is not None
    return weight
