"""Joint histograms by Gaussian windows normalised at each voxel, the estimator of the parent paper."""

from __future__ import annotations

import numpy as np

from ..arrays import Array, Warped, Windows
from .rows import rows


def windowed_histogram(
    fixed: Array, warped: Warped, bins: int, shape: Windows, threads: int
) -> Array:
    """Joint histogram (B, B) by per-pixel windows, fixed bin x moving bin."""
    table = np.zeros((bins, bins))
    for live, row, value, weight in rows(fixed, warped):
        here, there = (_windows(x.astype(float), bins, shape)[0] for x in (fixed[row][live], value))
        table += here.T @ (weight[:, None] * there)
    return table


def windowed_slope(
    fixed: Array, warped: Warped, table: Array, shape: Windows, threads: int
) -> None:
    """Compute the slopes in `warped` from dE/dhistogram, (B, B), by per-pixel windows."""
    warped.slope[...] = 0
    warped.weight_slope[...] = 0
    bins = table.shape[1]
    for live, row, value, weight in rows(fixed, warped):
        along = _windows(fixed[row][live].astype(float), bins, shape)[0] @ table
        weights, change = _windows(value, bins, shape)
        warped.slope[row][live] = weight * (change * along).sum(1)
        warped.weight_slope[row][live] = (weights * along).sum(1)


def _windows(value: Array, bins: int, windows: Windows) -> tuple[Array, Array]:
    """Gaussian windows normalised at each voxel, (voxels, B), and their derivatives with respect to the value."""
    bin_ = np.arange(bins)
    t = value[:, None] - bin_
    near = np.abs(bin_ - np.floor(value + 0.5)[:, None]) <= windows.reach
    weight = np.exp(-windows.precision * t**2) * near
    weight /= weight.sum(1, keepdims=True)
    logarithmic = -2 * windows.precision * t
    return weight, weight * (logarithmic - (weight * logarithmic).sum(1, keepdims=True))
