"""What is done to the tables of all regions: smoothing, logarithms, and the transposed smoothing."""

from __future__ import annotations

import math

import numpy as np
from numba import njit


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
    used = np.zeros(size, np.bool_)
    for block in range(first, blocks, step):
        for r in range(block * count // blocks, (block + 1) * count // blocks):
            _smooth(r, table, band, used, scratch, out)


@njit(nogil=True, cache=True)
def information(first, blocks, step, table, band, value, ratio):
    """N MI of every region, and its derivative by the smoothed table.

    Parameters
    ----------
    table : (R, B, B) array
        Joint histograms.
    band
        As for :func:`smooth_tables`.
    value : (R,) array, output
        N_r MI_r in nats.
    ratio : (R, B, B) array, output
        log(p / (p_F p_M)), 0 where p = 0.
    """
    count, size, reach = table.shape[0], table.shape[1], band.shape[0] // 2
    scratch = np.zeros((size, size + 2 * reach))
    fixed, moving, used = np.zeros(size), np.zeros(size), np.zeros(size, np.bool_)
    for block in range(first, blocks, step):
        for r in range(block * count // blocks, (block + 1) * count // blocks):
            _smooth(r, table, band, used, scratch, ratio)
            _marginals(r, ratio, used, fixed, moving)
            value[r] = _log_ratio(r, ratio, used, fixed, moving)


@njit(nogil=True, cache=True, _nrt=False, fastmath={"reassoc"})
def _smooth(r, table, band, used, scratch, out):
    """out[r] = K table[r] K^T; used[f] says whether row f of it can be other than 0."""
    size, width = np.uint64(table.shape[1]), np.uint64(band.shape[0])
    rows, reach = table.shape[1], band.shape[0] // 2
    margin = np.uint64(reach)
    for f in range(rows):
        used[f] = False
        for m in range(size):
            out[r, f, m] = 0
    for c in range(rows):
        total = 0.0
        for m in range(size):
            total += abs(table[r, c, m])
        if total > 0:  # most fixed bins are empty in a small region
            for f in range(max(c - reach, 0), min(c + reach + 1, rows)):
                weight = band[c - f + reach, f]
                if not used[f]:
                    used[f] = True
                    for m in range(size):
                        scratch[f, margin + m] = 0
                for m in range(size):
                    scratch[f, margin + m] += weight * table[r, c, m]
    for f in range(rows):
        if used[f]:
            for k in range(width):
                for m in range(size):
                    out[r, f, m] += band[k, m] * scratch[f, k + m]


@njit(nogil=True, cache=True, _nrt=False, fastmath={"reassoc"})
def _marginals(r, table, used, fixed, moving):
    """Logarithms of the marginals of table[r] (0 of nothing); the moving ones less that of the sum."""
    size, mass = fixed.size, 0.0
    for m in range(size):
        moving[m] = 0
    for f in range(size):
        if used[f]:
            total = 0.0
            for m in range(size):
                total += table[r, f, m]
            for m in range(size):
                moving[m] += table[r, f, m]
            used[f] = total > 0
            fixed[f] = math.log(total) if total > 0 else 0.0
            mass += total
    offset = math.log(mass) if mass > 0 else 0.0
    for m in range(size):
        moving[m] = math.log(moving[m]) - offset if moving[m] > 0 else 0.0


@njit(nogil=True, cache=True, _nrt=False)
def _log_ratio(r, table, used, fixed, moving):
    """Turn weights into log(p / (p_F p_M)); returns the sum of weight times that."""
    size, value = fixed.size, 0.0
    for f in range(size):
        if used[f]:
            for m in range(size):
                weight = table[r, f, m]
                if weight > 0:
                    ratio = math.log(weight) - fixed[f] - moving[m]
                    value += weight * ratio
                    table[r, f, m] = ratio
    return value
