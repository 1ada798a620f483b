"""Mutual information of joint histograms, and their smoothing."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array
from .compiled import expanded, kernel, part


def smooth_table(table: Array, kernel: Array) -> Array:
    """Smoothed tables K table K^T of every region, with the banded matrix K; table (R B, B)."""
    return _smoothed(table, banded(kernel))


def smooth_table_transposed(table: Array, kernel: Array) -> Array:
    """K^T table K of every region; table (R B, B)."""
    return _smoothed(table, np.ascontiguousarray(kernel.T))


def information(table: Array, kernel: Array) -> tuple[float, Array]:
    """Sum over regions of N MI in nats, and its derivative with respect to the smoothed table, (R B, B)."""
    bins = table.shape[1]
    tables = np.array(table).reshape(-1, bins, bins)
    mass, value = np.empty((2, len(tables)))
    ratio, each = np.empty(tables.shape), np.arange(len(tables) + 1)
    region_information(0, len(tables), tables, 1, each, banded(kernel), mass, value, ratio)
    return float(value.sum()), ratio.reshape(table.shape)


def _smoothed(table: Array, band: Array) -> Array:
    bins = table.shape[1]
    stack = np.ascontiguousarray(table).reshape(-1, bins, bins)
    out = np.empty_like(stack)
    smooth_tables(0, len(stack), stack, band, out)
    return out.reshape(table.shape)


def banded(kernel: Array) -> Array:
    """Rows of the banded matrix, band[k, b] = K[b, b + k - reach], from its columns kernel[c, k] = K[c + k - reach, c]."""
    return _banded(kernel.shape, kernel.tobytes())


@lru_cache(maxsize=16)
def _banded(shape: tuple[int, int], entries: bytes) -> Array:
    kernel = np.frombuffer(entries).reshape(shape)
    reach = shape[1] // 2
    band = np.zeros(shape[::-1])
    for k, column in enumerate(kernel.T):
        low, high = max(0, k - reach), min(shape[0], shape[0] + k - reach)
        if low < high:  # else a kernel wider than the table
            band[2 * reach - k, low:high] = column[low - k + reach : high - k + reach]
    return band


class TableWorkspace(NamedTuple):
    """Workspace of one thread for tables of B x B."""

    rows: Array  # (B, B + 2 reach) tables smoothed along the first axis, with zero padding of the rows
    used: NDArray[np.bool_]  # (B,) rows that can be nonzero
    fixed: Array  # (B,) logarithms of the marginals
    moving: Array  # (B,)


@expanded
def allocate_tables(bins, reach):
    """Allocate a :class:`TableWorkspace`; with the padding, the inner loop of the smoothing needs no bounds checks."""
    return TableWorkspace(
        np.zeros((bins, bins + 2 * reach)), np.zeros(bins, np.bool_), np.zeros(bins),
        np.zeros(bins),
    )  # fmt: skip


@kernel
def smooth_tables(first, stop, table, band, out):
    """out[r] = K table[r] K^T with a banded matrix K, for the regions first, ..., stop - 1.

    Parameters
    ----------
    table, out : (R, B, B) arrays
    band : (2 * reach + 1, B) array
        band[k, b] = K[b, b + k - reach], zero outside the table.
    """
    workspace = allocate_tables(table.shape[1], band.shape[0] // 2)
    for r in range(first, stop):
        smooth(r, table, band, workspace, r, out)


@kernel
def region_information(first, stop, tables, along, first_tile, band, mass, value, ratio):
    """Weight N, N MI and its derivative, for the regions first, ..., stop - 1.

    Parameters
    ----------
    tables : (T along, B, B) array
        Joint histograms of the tiles, `along` regions each; overwritten.
    first_tile : (G + 1,) int array
        First tile of each group of tiles with common regions.
    band
        As for :func:`smooth_tables`.
    mass, value : (R,) arrays, output
        N, and N MI in nats.
    ratio : (R, B, B) array, output
        log(p / (p_F p_M)), the derivative of N MI with respect to the smoothed histogram; 0 where p = 0.
    """
    bins = tables.shape[1]
    workspace = allocate_tables(bins, band.shape[0] // 2)
    for r in range(first, stop):
        group, place = r // along, r % along
        source = first_tile[group] * along + place
        for tile in range(first_tile[group] + 1, first_tile[group + 1]):  # in fixed order
            for f in range(bins):
                for m in range(bins):
                    tables[source, f, m] += tables[tile * along + place, f, m]
        mass[r], value[r] = table_information(source, tables, band, workspace, r, ratio)


@part()
def table_information(source, tables, band, workspace, r, ratio):
    """(N, N MI) of the histogram tables[source]; ratio[r] = log(p / (p_F p_M)), 0 where p = 0.

    Parameters
    ----------
    tables, ratio : (.., B, B) arrays
        Joint histograms; the derivative of N MI with respect to the smoothed histogram, output.
    band
        As for :func:`smooth_tables`.
    """
    smooth(source, tables, band, workspace, r, ratio)
    _marginals(r, ratio, workspace.used, workspace.fixed, workspace.moving)
    mass = 0.0
    for f in range(tables.shape[1]):
        for m in range(tables.shape[2]):
            mass += tables[source, f, m]
    return mass, _log_ratio(r, ratio, workspace.used, workspace.fixed, workspace.moving)


@part(fastmath={"reassoc"})
def smooth(source, table, band, room, r, out):
    """out[r] = K table[source] K^T; room.used[f] marks the rows f that can be nonzero."""
    size, width = np.uint64(table.shape[1]), np.uint64(band.shape[0])
    rows, reach = table.shape[1], band.shape[0] // 2
    margin, workspace, used = np.uint64(reach), room.rows, room.used
    for f in range(rows):
        used[f] = False
        for m in range(size):
            out[r, f, m] = 0
    for c in range(rows):
        total = 0.0
        for m in range(size):
            total += abs(table[source, c, m])
        if total > 0:  # most fixed bins are empty in a small region
            for f in range(max(c - reach, 0), min(c + reach + 1, rows)):
                weight = band[c - f + reach, f]
                if not used[f]:
                    used[f] = True
                    for m in range(size):
                        workspace[f, margin + m] = 0
                for m in range(size):
                    workspace[f, margin + m] += weight * table[source, c, m]
    for f in range(rows):
        if used[f]:
            for k in range(width):
                for m in range(size):
                    out[r, f, m] += band[k, m] * workspace[f, k + m]


@part(fastmath={"reassoc"})
def _marginals(r, table, used, fixed, moving):
    """Logarithms of the marginals of table[r], 0 for empty bins; for moving bins minus the logarithm of the total."""
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


@part()
def _log_ratio(r, table, used, fixed, moving):
    """Replace weights by log(p / (p_F p_M)), and return the sum of their products."""
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
