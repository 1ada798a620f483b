"""Pull the moving image onto the fixed grid, and push derivatives back to the nodes.

``warp`` gives the moving value and the share in view of every fixed voxel; ``push`` is its
transposed derivative: from dE/dvalue and dE/dweight at the voxels to dE/du at the nodes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .sampling import clamp_axis, cubic_sample, linear_gradient, linear_value, row_positions


@njit(nogil=True, cache=True)
def warp(first, blocks, step, image, mask, nodes, index, weight, linear, spread, coordinate,
         cubic, low, high, value, share, full):  # fmt: skip
    """Moving value and weight at every fixed voxel, for blocks first, first + step, ...

    Parameters
    ----------
    image : (p, q, r) array
        Moving image, or its cubic B-spline coefficients if `cubic`.
    mask : (p, q, r) array or (0, 0, 0) array
        Weight of the moving voxels in [0, 1], empty for none.
    nodes, index, weight, linear, spread, coordinate
        The map: see :func:`varreg.kernels.sampling.row_positions`.
    low, high : float
        Values are clipped to this range (only cubic interpolation can leave it).
    value, share : (*S) arrays, output
        Warped value; weight in [0, 1], written only for rows that are not `full`.
    full : (rows,) uint8 array, output
        1 where all weights of a row are 1.
    """
    planes, rows, n = value.shape
    total = planes * rows
    line = np.empty((3, nodes.shape[3]), nodes.dtype)
    y = np.empty((3, n), nodes.dtype)
    scratch = np.empty((6, 4), nodes.dtype)
    for block in range(first, blocks, step):
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            row_positions(
                i, j, planes, rows, nodes, index, weight, linear, spread, coordinate, line, y
            )
            full[r] = _warp_row(image, mask, y, cubic, low, high, scratch, value[i, j], share[i, j])


@njit(nogil=True, cache=True, inline="always")
def _warp_row(image, mask, y, cubic, low, high, scratch, value, share):
    """One row; returns whether all its weights are 1 (share is then not written)."""
    n0, n1, n2 = image.shape
    inside = mask.size == 0
    for k in range(y.shape[1]):
        inside &= (y[0, k] >= 0) & (y[0, k] <= n0 - 1) & (y[1, k] >= 0)
        inside &= (y[1, k] <= n1 - 1) & (y[2, k] >= 0) & (y[2, k] <= n2 - 1)
    if inside and not cubic:
        for k in range(y.shape[1]):
            value[k] = linear_value(image, y[0, k], y[1, k], y[2, k])
        return 1
    for k in range(y.shape[1]):
        y0, w0, _ = clamp_axis(y[0, k], n0)
        y1, w1, _ = clamp_axis(y[1, k], n1)
        y2, w2, _ = clamp_axis(y[2, k], n2)
        w = w0 * w1 * w2
        if mask.size and w > 0:
            w *= linear_value(mask, y0, y1, y2)
        share[k] = w
        if cubic:
            value[k] = min(max(cubic_sample(image, y0, y1, y2, scratch)[0], low), high)
        else:
            value[k] = linear_value(image, y0, y1, y2)
    return 1 if inside else 0


@njit(nogil=True, cache=True)
def push(first, blocks, step, image, mask, nodes, index, weight, linear, spread, coordinate,
         cubic, low, high, slope, share_slope, full, out):  # fmt: skip
    """dE/dy at every voxel, gathered along rows onto the last axis of the node grid.

    Parameters
    ----------
    slope, share_slope : (*S) arrays
        dE/dvalue, and dE/dshare (read only for rows that are not `full`).
    out : (3, planes, rows, c) array, output
        Sums over each row of the voxel's dE/dy times its node weights.
    Others as for :func:`warp`.
    """
    planes, rows, n = slope.shape
    total = planes * rows
    line = np.empty((3, nodes.shape[3]), nodes.dtype)
    y = np.empty((3, n), nodes.dtype)
    scratch = np.empty((6, 4), nodes.dtype)
    column = planes + rows
    for block in range(first, blocks, step):
        for r in range(block * total // blocks, (block + 1) * total // blocks):
            i, j = r // rows, r % rows
            out[:, i, j, :] = 0
            row_positions(
                i, j, planes, rows, nodes, index, weight, linear, spread, coordinate, line, y
            )
            for k in range(n):
                if full[r]:
                    if slope[i, j, k] == 0:
                        continue
                    if cubic:
                        q0, q1, q2 = _cubic_force(
                            image, y[:, k], slope[i, j, k], low, high, scratch
                        )
                    else:
                        q0, q1, q2 = linear_gradient(image, y[0, k], y[1, k], y[2, k])
                        q0, q1, q2 = (
                            slope[i, j, k] * q0,
                            slope[i, j, k] * q1,
                            slope[i, j, k] * q2,
                        )
                else:
                    q0, q1, q2 = _edge_force(
                        image, mask, y[:, k], cubic, low, high, scratch,
                        slope[i, j, k], share_slope[i, j, k],
                    )  # fmt: skip
                k0, k1 = index[0, column + k], index[1, column + k]
                a0, a1 = weight[0, column + k], weight[1, column + k]
                out[0, i, j, k0] += a0 * q0
                out[1, i, j, k0] += a0 * q1
                out[2, i, j, k0] += a0 * q2
                out[0, i, j, k1] += a1 * q0
                out[1, i, j, k1] += a1 * q1
                out[2, i, j, k1] += a1 * q2


@njit(nogil=True, cache=True)
def _cubic_force(image, y, slope, low, high, scratch):
    """slope times the gradient of the clipped cubic value."""
    value, g0, g1, g2 = cubic_sample(image, y[0], y[1], y[2], scratch)
    if value < low or value > high:
        return y[0] * 0, y[0] * 0, y[0] * 0
    return slope * g0, slope * g1, slope * g2


@njit(nogil=True, cache=True)
def _edge_force(image, mask, y, cubic, low, high, scratch, slope, share_slope):
    """Force of one voxel whose weight may be below 1: through its value and through its weight."""
    n0, n1, n2 = image.shape
    y0, w0, d0 = clamp_axis(y[0], n0)
    y1, w1, d1 = clamp_axis(y[1], n1)
    y2, w2, d2 = clamp_axis(y[2], n2)
    if w0 * w1 * w2 <= 0:
        return y0 * 0, y0 * 0, y0 * 0
    clamped = (y0 != y[0], y1 != y[1], y2 != y[2])
    if cubic:
        value, g0, g1, g2 = cubic_sample(image, y0, y1, y2, scratch)
        live = slope if low <= value <= high else slope * 0
    else:
        g0, g1, g2 = linear_gradient(image, y0, y1, y2)
        live = slope
    inside, m0, m1, m2 = y0 * 0 + 1, y0 * 0, y0 * 0, y0 * 0
    if mask.size:
        inside = linear_value(mask, y0, y1, y2)
        m0, m1, m2 = linear_gradient(mask, y0, y1, y2)
    view = w0 * w1 * w2
    q0 = share_slope * inside * d0 * w1 * w2
    q1 = share_slope * inside * w0 * d1 * w2
    q2 = share_slope * inside * w0 * w1 * d2
    if not clamped[0]:
        q0 += live * g0 + share_slope * view * m0
    if not clamped[1]:
        q1 += live * g1 + share_slope * view * m1
    if not clamped[2]:
        q2 += live * g2 + share_slope * view * m2
    return q0, q1, q2


@njit(nogil=True, cache=True)
def gather_rows(first, blocks, step, rowwise, index, weight, planes, out):
    """Second step of :func:`push`: from image rows to node rows, (3, planes, rows, c) -> (3, planes, b, c)."""
    rows = rowwise.shape[2]
    for block in range(first, blocks, step):
        for i in range(block * planes // blocks, (block + 1) * planes // blocks):
            out[:, i] = 0
            for d in range(3):
                for j in range(rows):
                    j0, j1 = index[0, planes + j], index[1, planes + j]
                    a0, a1 = weight[0, planes + j], weight[1, planes + j]
                    for k in range(out.shape[3]):
                        out[d, i, j0, k] += a0 * rowwise[d, i, j, k]
                        out[d, i, j1, k] += a1 * rowwise[d, i, j, k]


@njit(nogil=True, cache=True)
def gather_planes(first, blocks, step, planewise, index, weight, out):
    """Third step of :func:`push`: from image planes to node planes, (3, planes, b, c) -> (3, a, b, c)."""
    planes, rows = planewise.shape[1], planewise.shape[2]
    for block in range(first, blocks, step):
        low, high = block * rows // blocks, (block + 1) * rows // blocks
        out[:, :, low:high] = 0
        for d in range(3):
            for i in range(planes):
                i0, i1 = index[0, i], index[1, i]
                a0, a1 = weight[0, i], weight[1, i]
                for j in range(low, high):
                    for k in range(out.shape[3]):
                        out[d, i0, j, k] += a0 * planewise[d, i, j, k]
                        out[d, i1, j, k] += a1 * planewise[d, i, j, k]
