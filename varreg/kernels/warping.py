"""Pull the moving image onto the fixed grid, and push derivatives back to the nodes.

``warp`` gives the moving value and the share in view of every fixed voxel; ``push`` is its
transposed derivative: from dE/dvalue and dE/dshare at the voxels to dE/dy at the nodes.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .sampling import (
    bend,
    clamp_axis,
    cubic_sample,
    linear_sample,
    plane_displacement,
    row_bounds,
    row_cells,
    row_forces,
    row_line,
    row_positions,
    row_span,
    row_values,
)


@njit(nogil=True, cache=True)
def warp(
    first, blocks, step, image, mask, nodes, index, weight, linear, spread, coordinate, limit,
    box, cubic, low, high, value, share, full,
):  # fmt: skip
    """Moving value and weight at every fixed voxel, for blocks first, first + step, ...

    Parameters
    ----------
    image : (p, q, r) array
        Moving image, or its cubic B-spline coefficients if `cubic`.
    mask : (p, q, r) array or (0, 0, 0) array
        Weight of the moving voxels in [0, 1], empty for none.
    nodes, index, weight, linear, spread, coordinate, limit, box
        The map: see ``row_line``, ``row_cells`` and ``row_bounds`` of
        :mod:`varreg.kernels.sampling`.
    low, high : float
        The range of the image; only cubic interpolation can leave it, and is bent back.
    value, share : (*S) arrays, output
        Warped value; weight in [0, 1], written only for rows that are not `full`.
    full : (rows,) uint8 array, output
        1 where all weights of a row are 1.
    """
    planes, rows, n = value.shape
    total, flat, column = planes * rows, image.reshape(-1), planes + rows
    plain, origin = not cubic and mask.size == 0, np.empty(3, nodes.dtype)
    plane = np.empty((3, nodes.shape[2], nodes.shape[3]), nodes.dtype)
    line = np.empty((3, nodes.shape[3]), nodes.dtype)
    y, t = np.empty((3, n), nodes.dtype), np.empty((3, n), nodes.dtype)
    offset, inside = np.empty(n, np.uint32), np.empty(n, np.bool_)
    scratch = np.empty((6, 4), nodes.dtype)
    for block in range(first, blocks, step):
        begin, end = block * total // blocks, (block + 1) * total // blocks
        for r in range(begin, end):
            i, j = r // rows, r % rows
            if j == 0 or r == begin:
                plane_displacement(i, nodes, index, weight, spread, plane)
            row_line(i, j, plane, planes, index, weight, linear, coordinate, line, origin)
            in_view, missed = row_bounds(line, origin, coordinate[n - 1], linear, image.shape, box)
            if plain and missed:
                _fill(value[i, j], 0, n, low)
                if in_view:
                    full[r] = 1
                    continue
            row_positions(line, origin, column, index, weight, linear, coordinate, y)
            start, stop = row_span(y, image.shape, inside)
            full[r] = mask.size == 0 and start == 0 and stop == n
            if not plain:
                start = stop = 0
            if stop > start and not missed:
                row_cells(y, start, stop, image.shape, limit, offset, t)
                row_values(flat, start, stop, image.shape, offset, t, value[i, j])
            if stop - start < n:
                _fill(share[i, j], start, stop, 1)
                ends = (0, start), (stop, n)
                for a, b in ends:
                    _warp_row(
                        image, mask, y, a, b, cubic, low, high, scratch, value[i, j], share[i, j]
                    )


@njit(nogil=True, cache=True)
def _warp_row(image, mask, y, start, stop, cubic, low, high, scratch, value, share):
    """Part of a row voxel by voxel: cubic, masked, or out of view."""
    n0, n1, n2 = image.shape
    for k in range(start, stop):
        y0, w0, _ = clamp_axis(y[0, k], n0)
        y1, w1, _ = clamp_axis(y[1, k], n1)
        y2, w2, _ = clamp_axis(y[2, k], n2)
        w = w0 * w1 * w2
        if mask.size and w > 0:
            w *= linear_sample(mask, y0, y1, y2)[0]
        share[k] = w
        if cubic:
            value[k] = bend(cubic_sample(image, y0, y1, y2, scratch)[0], low, high)[0]
        else:
            value[k] = linear_sample(image, y0, y1, y2)[0]


@njit(nogil=True, cache=True)
def push(
    first, blocks, step, image, mask, nodes, index, weight, linear, spread, coordinate, limit,
    box, cubic, low, high, value, slope, share_slope, full, out,
):  # fmt: skip
    """dE/dy at every voxel, gathered along rows onto the last axis of the node grid.

    Parameters
    ----------
    value : (*S) array
        What :func:`warp` found; rows at the lowest value throughout have no gradient.
    slope, share_slope : (*S) arrays
        dE/dvalue, and dE/dshare (read only for rows that are not `full`).
    out : (3, planes, rows, c) array, output
        Sums over each row of the voxel's dE/dy times its node weights.
    Others as for :func:`warp`.
    """
    planes, rows, n = slope.shape
    total, flat, column = planes * rows, image.reshape(-1), planes + rows
    plain, origin = not cubic and mask.size == 0, np.empty(3, nodes.dtype)
    plane = np.empty((3, nodes.shape[2], nodes.shape[3]), nodes.dtype)
    line = np.empty((3, nodes.shape[3]), nodes.dtype)
    y, t = np.empty((3, n), nodes.dtype), np.empty((3, n), nodes.dtype)
    offset, inside = np.empty(n, np.uint32), np.empty(n, np.bool_)
    force, scratch = np.empty((3, n), nodes.dtype), np.empty((6, 4), nodes.dtype)
    for block in range(first, blocks, step):
        begin, end = block * total // blocks, (block + 1) * total // blocks
        for r in range(begin, end):
            i, j = r // rows, r % rows
            if j == 0 or r == begin:
                plane_displacement(i, nodes, index, weight, spread, plane)
            for d in range(3):
                _fill(out[d, i, j], 0, out.shape[3], 0)
            empty = plain and _is_flat(value[i, j], low)
            if empty and full[r]:
                continue
            row_line(i, j, plane, planes, index, weight, linear, coordinate, line, origin)
            row_positions(line, origin, column, index, weight, linear, coordinate, y)
            start, stop = row_span(y, image.shape, inside)
            if not plain:
                start = stop = 0
            if empty:
                for d in range(3):
                    _fill(force[d], start, stop, 0)
            elif stop > start:
                row_cells(y, start, stop, image.shape, limit, offset, t)
                row_forces(flat, start, stop, image.shape, offset, t, slope[i, j], force)
            ends = (0, start), (stop, n)
            for a, b in ends:
                _push_row(
                    image, mask, y, a, b, cubic, low, high, scratch, full[r], slope[i, j],
                    share_slope[i, j], force,
                )  # fmt: skip
            for d in range(3):
                _gather_row(force[d], index[:, column:], weight[:, column:], out[d, i, j])


@njit(nogil=True, cache=True)
def _fill(row, start, stop, value):
    # a slice assignment does the same, but takes the compiler half a second each
    for k in range(start, stop):
        row[k] = value


@njit(nogil=True, cache=True)
def _is_flat(value, low):
    for k in range(value.size):
        if value[k] > low:
            return False
    return True


@njit(nogil=True, cache=True)
def _gather_row(force, index, weight, out):
    """Add each voxel's force to its two nodes."""
    if out.size == force.size:  # every voxel is a node
        for k in range(force.size):
            out[k] += force[k]
        return
    first, second, share0, share1 = index[0], index[1], weight[0], weight[1]
    for k in range(force.size):
        out[first[k]] += share0[k] * force[k]
        out[second[k]] += share1[k] * force[k]


@njit(nogil=True, cache=True)
def _push_row(
    image, mask, y, start, stop, cubic, low, high, scratch, full, slope, share_slope, force
):
    """Part of a row voxel by voxel: force through the value and through the weight."""
    n0, n1, n2 = image.shape
    for k in range(start, stop):
        y0, w0, d0 = clamp_axis(y[0, k], n0)
        y1, w1, d1 = clamp_axis(y[1, k], n1)
        y2, w2, d2 = clamp_axis(y[2, k], n2)
        force[0, k] = force[1, k] = force[2, k] = 0
        view = w0 * w1 * w2
        if view <= 0:
            continue
        if cubic:
            level, g0, g1, g2 = cubic_sample(image, y0, y1, y2, scratch)
            live = slope[k] * bend(level, low, high)[1]
        else:
            _, g0, g1, g2 = linear_sample(image, y0, y1, y2)
            live = slope[k]
        inside, m0, m1, m2 = y0 * 0 + 1, y0 * 0, y0 * 0, y0 * 0
        if mask.size:
            inside, m0, m1, m2 = linear_sample(mask, y0, y1, y2)
        change = slope[k] * 0 if full else share_slope[k]
        if y0 == y[0, k]:
            force[0, k] = live * g0 + change * view * m0
        if y1 == y[1, k]:
            force[1, k] = live * g1 + change * view * m1
        if y2 == y[2, k]:
            force[2, k] = live * g2 + change * view * m2
        force[0, k] += change * inside * d0 * w1 * w2
        force[1, k] += change * inside * w0 * d1 * w2
        force[2, k] += change * inside * w0 * w1 * d2


@njit(nogil=True, cache=True)
def gather_rows(first, blocks, step, rowwise, index, weight, planes, out):
    """Second step of :func:`push`: image rows to node rows, (3, p, r, c) -> (3, p, b, c)."""
    rows = rowwise.shape[2]
    for block in range(first, blocks, step):
        for i in range(block * planes // blocks, (block + 1) * planes // blocks):
            for d in range(3):
                out[d, i] = 0
                for j in range(rows):
                    low, high = out[d, i, index[0, planes + j]], out[d, i, index[1, planes + j]]
                    a0, a1 = weight[0, planes + j], weight[1, planes + j]
                    source = rowwise[d, i, j]
                    for k in range(source.size):
                        low[k] += a0 * source[k]
                    for k in range(source.size):
                        high[k] += a1 * source[k]


@njit(nogil=True, cache=True)
def gather_planes(first, blocks, step, planewise, index, weight, out):
    """Third step of :func:`push`: image planes to node planes, (3, p, b, c) -> (3, a, b, c)."""
    planes, rows = planewise.shape[1], planewise.shape[2]
    for block in range(first, blocks, step):
        top, bottom = block * rows // blocks, (block + 1) * rows // blocks
        for d in range(3):
            out[d, :, top:bottom] = 0
            for i in range(planes):
                a0, a1 = weight[0, i], weight[1, i]
                for j in range(top, bottom):
                    low, high = out[d, index[0, i], j], out[d, index[1, i], j]
                    source = planewise[d, i, j]
                    for k in range(source.size):
                        low[k] += a0 * source[k]
                    for k in range(source.size):
                        high[k] += a1 * source[k]
