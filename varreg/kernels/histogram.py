"""Joint histograms and their transposed derivatives, for both Parzen estimators.

Fine histogram: the fixed value is a bin number, the warped moving value (in bins) is spread by a
quadratic B-spline over three bins; the table is smoothed afterwards.  Per pixel: both values are
spread by Gaussian windows that are normalised at each pixel (the parent paper's estimator).
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def scatter(first, blocks, step, bins, value, share, full, out):
    """Partial joint histograms, one per block.

    Parameters
    ----------
    bins : (*S) int16 array
        Fixed bin of each voxel; negative takes the voxel out.
    value, share, full : arrays
        Warped moving value in bins, its weight, and rows whose weights are all 1.
    out : (blocks, B, B) float64 array, output
        Sum of weights; the second axis is the fixed bin, the third the moving bin.
    """
    planes, rows, n = value.shape
    total = planes * rows
    for block in range(first, blocks, step):
        table = out[block]
        table[:, :] = 0
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            _scatter_row(bins[i, j], value[i, j], share[i, j], full[r], table)


@njit(nogil=True, cache=True, inline="always")
def _add(table, f, m, w):
    """Spread weight w over three moving bins."""
    centre = int(m + 0.5)
    t = m - centre
    below, above = 0.5 - t, 0.5 + t
    table[f, centre - 1] += w * 0.5 * below * below
    table[f, centre] += w * (0.75 - t * t)
    table[f, centre + 1] += w * 0.5 * above * above


@njit(nogil=True, cache=True, inline="always")
def _scatter_row(bins, value, share, full, table):
    """One row; runs of equal voxels, such as background, are added at once."""
    weight, f, m = 0.0, bins[0], value[0]
    for k in range(value.size):
        if bins[k] != f or value[k] != m:
            if f >= 0:
                _add(table, f, m, weight)
            weight, f, m = 0.0, bins[k], value[k]
        weight += 1.0 if full else share[k]
    if f >= 0:
        _add(table, f, m, weight)


@njit(nogil=True, cache=True)
def scatter_slope(first, blocks, step, bins, value, share, full, table, slope, share_slope):  # fmt: skip
    """d/dvalue and d/dshare of a function of the histogram whose derivative is `table`.

    slope = share * sum_b beta'(value - b) table[f, b];
    share_slope = sum_b beta(value - b) table[f, b], for rows that are not full.
    """
    planes, rows, n = value.shape
    total = planes * rows
    for block in range(first, blocks, step):
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            f, m, change, mean = -1, value[i, j, 0], 0.0, 0.0
            for k in range(n):
                if bins[i, j, k] != f or value[i, j, k] != m:  # else as the voxel before
                    f, m = bins[i, j, k], value[i, j, k]
                    change, mean = _look_up(table, f, m)
                if full[r]:
                    slope[i, j, k] = change
                else:
                    slope[i, j, k] = share[i, j, k] * change
                    share_slope[i, j, k] = mean


@njit(nogil=True, cache=True, inline="always")
def _look_up(table, f, m):
    """(derivative, value) of the spline through row f of the table at m; 0 for voxels left out."""
    if f < 0:
        return 0.0, 0.0
    centre = int(m + 0.5)
    t = m - centre
    left, mid, right = table[f, centre - 1], table[f, centre], table[f, centre + 1]
    mean = 0.5 * (0.5 - t) ** 2 * left + (0.75 - t * t) * mid + 0.5 * (0.5 + t) ** 2 * right
    return (t - 0.5) * left - 2 * t * mid + (t + 0.5) * right, mean


@njit(nogil=True, cache=True, inline="always")
def _windows(x, reach, precision, bins, weights, slopes):
    """Gaussian windows of value x (in bins) normalised to sum 1; returns the first bin."""
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


@njit(nogil=True, cache=True)
def scatter_windows(first, blocks, step, fixed, value, share, full, reach, precision, out):
    """As :func:`scatter`, with per-pixel windows; `fixed` holds values in bins, negative is out."""
    planes, rows, n = value.shape
    total, size = planes * rows, out.shape[1]
    scratch = np.empty((4, 2 * reach + 1))
    for block in range(first, blocks, step):
        table = out[block]
        table[:, :] = 0
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            for k in range(n):
                if fixed[i, j, k] < 0:
                    continue
                w = 1.0 if full[r] else float(share[i, j, k])
                f0, f1 = _windows(fixed[i, j, k], reach, precision, size, scratch[0], scratch[1])
                m0, m1 = _windows(value[i, j, k], reach, precision, size, scratch[2], scratch[3])
                for f in range(f0, f1):
                    for m in range(m0, m1):
                        table[f, m] += w * scratch[0, f - f0] * scratch[2, m - m0]


@njit(nogil=True, cache=True)
def windows_slope(first, blocks, step, fixed, value, share, full, reach, precision, table,
                  slope, share_slope):  # fmt: skip
    """As :func:`scatter_slope`, with per-pixel windows."""
    planes, rows, n = value.shape
    total, size = planes * rows, table.shape[0]
    scratch = np.empty((4, 2 * reach + 1))
    for block in range(first, blocks, step):
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            for k in range(n):
                slope[i, j, k] = 0
                share_slope[i, j, k] = 0
                if fixed[i, j, k] < 0:
                    continue
                w = 1.0 if full[r] else float(share[i, j, k])
                f0, f1 = _windows(fixed[i, j, k], reach, precision, size, scratch[0], scratch[1])
                m0, m1 = _windows(value[i, j, k], reach, precision, size, scratch[2], scratch[3])
                change = mean = 0.0
                for f in range(f0, f1):
                    for m in range(m0, m1):
                        change += scratch[0, f - f0] * scratch[3, m - m0] * table[f, m]
                        mean += scratch[0, f - f0] * scratch[2, m - m0] * table[f, m]
                slope[i, j, k] = w * change
                share_slope[i, j, k] = mean


@njit(nogil=True, cache=True)
def smooth_tables(first, blocks, step, table, band, out):
    """out[r] = K table[r] K^T for a banded matrix K.

    Parameters
    ----------
    table, out : (R, B, B) arrays
    band : (2 * reach + 1, B) array
        band[k, b] = K[b, b + k - reach], zero where the column falls off the table.
    """
    count, size, reach = table.shape[0], table.shape[1], band.shape[0] // 2
    scratch = np.zeros((size, size + 2 * reach))  # a margin of zeros spares the inner loop its ends
    for block in range(first, blocks, step):
        for r in range(block * count // blocks, (block + 1) * count // blocks):
            scratch[:] = 0
            out[r] = 0
            for c in range(size):
                source = table[r, c]
                if source.any():  # most fixed bins are empty in a small region
                    for k in range(2 * reach + 1):
                        b = c - k + reach
                        if 0 <= b < size:
                            _accumulate(scratch[b, reach : size + reach], band[k, b], source)
            for f in range(size):
                if scratch[f].any():
                    for k in range(2 * reach + 1):
                        _accumulate_product(out[r, f], band[k], scratch[f, k : k + size])


@njit(nogil=True, cache=True, inline="always")
def _accumulate(target, factor, source):
    for m in range(target.size):
        target[m] += factor * source[m]


@njit(nogil=True, cache=True, inline="always")
def _accumulate_product(target, factors, source):
    for m in range(target.size):
        target[m] += factors[m] * source[m]
