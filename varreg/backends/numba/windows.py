"""Joint histogram by Gaussian windows normalised at each pixel, the estimator of the parent paper.

Both values are distributed over all bins within reach, which takes (2 reach + 1)^2 additions per voxel.
"""

from __future__ import annotations

import math

import numpy as np

from .compiled import expanded, kernel
from .rows import fill


@expanded
def _windows(x, reach, precision, bins, weights, slopes):
    """Gaussian window of value x (in bins), normalised to sum 1, and its derivative; returns its range of bins."""
    start = max(int(x + 0.5) - reach, 0)
    stop = min(int(x + 0.5) + reach + 1, bins)
    total = change = 0.0
    for b in range(start, stop):
        w = math.exp(-precision * (x - b) * (x - b))
        weights[b - start] = w
        slopes[b - start] = -2 * precision * (x - b) * w
        total += w
        change += slopes[b - start]
    for b in range(stop - start):
        slopes[b] = (slopes[b] - weights[b] * change / total) / total
        weights[b] /= total
    return start, stop


@kernel
def scatter_windows(first, stop, blocks, fixed, value, weight, full, reach, precision, out):
    """Partial joint histograms (blocks, B, B), one per block of rows.

    Parameters
    ----------
    fixed : (*S) array
        Fixed value in bins; voxels of negative value are excluded.
    value, weight, full : arrays
        Warped moving value in bins, its weight, and rows whose weights are all 1.
    reach : int
    precision : float
        See :class:`varreg.backends.arrays.Windows`.
    out : (blocks, B, B) float64 array, output
        The second axis is the fixed bin, the third the moving bin.
    """
    planes, rows, n = value.shape
    total, size = planes * rows, out.shape[1]
    workspace = np.empty((4, 2 * reach + 1))
    for block in range(first, stop):
        table = out[block]
        for f in range(size):
            fill(table[f], 0, size, 0)
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            for k in range(n):
                if fixed[i, j, k] < 0:
                    continue
                w = 1.0 if full[r] else float(weight[i, j, k])
                f0, f1 = _windows(
                    fixed[i, j, k], reach, precision, size, workspace[0], workspace[1]
                )
                m0, m1 = _windows(
                    value[i, j, k], reach, precision, size, workspace[2], workspace[3]
                )
                for f in range(f0, f1):
                    for m in range(m0, m1):
                        table[f, m] += w * workspace[0, f - f0] * workspace[2, m - m0]


@kernel
def windows_slope(first, stop, blocks, fixed, value, weight, full, reach, precision, table,
                  slope, weight_slope):  # fmt: skip
    """dE/dvalue and dE/dweight from dE/dhistogram, `table`, (B, B).

    Writes slope (0 for excluded voxels) and weight_slope.
    """
    planes, rows, n = value.shape
    total, size = planes * rows, table.shape[0]
    workspace = np.empty((4, 2 * reach + 1))
    for block in range(first, stop):
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            for k in range(n):
                slope[i, j, k] = 0
                weight_slope[i, j, k] = 0
                if fixed[i, j, k] < 0:
                    continue
                w = 1.0 if full[r] else float(weight[i, j, k])
                f0, f1 = _windows(
                    fixed[i, j, k], reach, precision, size, workspace[0], workspace[1]
                )
                m0, m1 = _windows(
                    value[i, j, k], reach, precision, size, workspace[2], workspace[3]
                )
                change = mean = 0.0
                for f in range(f0, f1):
                    for m in range(m0, m1):
                        change += workspace[0, f - f0] * workspace[3, m - m0] * table[f, m]
                        mean += workspace[0, f - f0] * workspace[2, m - m0] * table[f, m]
                slope[i, j, k] = w * change
                weight_slope[i, j, k] = mean
