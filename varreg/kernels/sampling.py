"""Where the voxels of a row go, and what the moving image is there: value, gradient, share in view.

The map of a level, in voxels: y(i) = W (i, 1) + V u(i), with u interpolated linearly between
nodes.  A point more than one voxel outside the moving image is out of view; in between its weight
falls smoothly (3 s^2 - 2 s^3), so that the energy stays differentiable when voxels leave.

Rows that stay inside the image take the fast functions (``row_*``), written as plain loops over
arrays so that the compiler turns them into vector instructions; the others go voxel by voxel.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(nogil=True, cache=True)
def plane_displacement(i, nodes, index, weight, spread, plane):
    """V u between the node planes next to image plane i, into plane (3, b, c)."""
    low, high, w0, w1 = index[0, i], index[1, i], weight[0, i], weight[1, i]
    for d in range(3):
        v0, v1, v2 = spread[d, 0], spread[d, 1], spread[d, 2]
        for j in range(plane.shape[1]):
            along = plane[d, j]
            for k in range(along.size):
                u0 = w0 * nodes[0, low, j, k] + w1 * nodes[0, high, j, k]
                u1 = w0 * nodes[1, low, j, k] + w1 * nodes[1, high, j, k]
                u2 = w0 * nodes[2, low, j, k] + w1 * nodes[2, high, j, k]
                along[k] = v0 * u0 + v1 * u1 + v2 * u2


@njit(nogil=True, cache=True)
def row_line(i, j, plane, planes, index, weight, linear, coordinate, line, start):
    """The map of row (i, j) at the node columns: y = start + slope k + (line between its nodes).

    plane (3, b, c) is the displacement of plane i; line (3, c) and start (3,) are filled.
    """
    row = planes + j
    j0, j1, w0, w1 = index[0, row], index[1, row], weight[0, row], weight[1, row]
    for d in range(3):
        along, low, high = line[d], plane[d, j0], plane[d, j1]
        for k in range(along.size):
            along[k] = w0 * low[k] + w1 * high[k]
        start[d] = linear[d, 0] * coordinate[i] + linear[d, 1] * coordinate[j] + linear[d, 3]


@njit(nogil=True, cache=True)
def row_positions(line, start, column, index, weight, linear, coordinate, y):
    """Positions in the moving image of all voxels of a row, into y (3, n).

    index, weight (2, .) are the two-node tables, that of the last axis from `column` on; linear
    (3, 4) is W; coordinate (n,) holds 0, 1, 2, ...
    """
    first, second = index[0, column:], index[1, column:]
    share0, share1 = weight[0, column:], weight[1, column:]
    line0, line1, line2, y0, y1, y2 = line[0], line[1], line[2], y[0], y[1], y[2]
    s0, s1, s2 = start[0], start[1], start[2]
    r0, r1, r2 = linear[0, 2], linear[1, 2], linear[2, 2]
    for k in range(y0.size):
        a, b, w, v, x = first[k], second[k], share0[k], share1[k], coordinate[k]
        y0[k] = s0 + r0 * x + (w * line0[a] + v * line0[b])
        y1[k] = s1 + r1 * x + (w * line1[a] + v * line1[b])
        y2[k] = s2 + r2 * x + (w * line2[a] + v * line2[b])


@njit(nogil=True, cache=True)
def row_bounds(line, start, last, linear, shape, box):
    """(whether a whole row is in view, whether it meets only the background of the moving image).

    last is the last coordinate of the row; box (2, 3) holds the first and last voxel that is not
    background, on each axis.  Cautious: bounds the row by its end points and its nodes.
    """
    in_view, missed = True, False
    for d in range(3):
        low = high = line[d, 0] * 0  # the border value of a zero-boundary field is between
        for k in range(line.shape[1]):
            low, high = min(low, line[d, k]), max(high, line[d, k])
        end = start[d] + linear[d, 2] * last
        low += min(start[d], end)
        high += max(start[d], end)
        in_view &= low >= 0 and high <= shape[d] - 1
        missed |= high < box[0, d] - 1 or low > box[1, d] + 1
    return in_view, missed


@njit(nogil=True, cache=True)
def row_span(y, shape, inside):
    """The stretch [first, last) of a row that lies inside the moving image; (0, 0) if there are
    several.  inside (n,) bool is scratch.
    """
    for k in range(inside.size):
        inside[k] = True
    for d in range(3):
        last, position = shape[d] - 1, y[d]
        for k in range(inside.size):
            inside[k] &= (position[k] >= 0) & (position[k] <= last)
    first, stop = 0, inside.size
    while first < stop and not inside[first]:
        first += 1
    while stop > first and not inside[stop - 1]:
        stop -= 1
    for k in range(first, stop):
        if not inside[k]:
            return 0, 0
    return first, stop


@njit(nogil=True, cache=True)
def row_cells(y, start, stop, shape, limit, offset, t):
    """Cell of each position: flat index of its first corner, and the place within, in [0, 1].

    limit (3,) holds the last cell of each axis, max(n - 2, 0), in the precision of y.
    """
    stride0, stride1 = np.uint32(shape[1] * shape[2]), np.uint32(shape[2])
    y0, y1, y2, t0, t1, t2 = y[0], y[1], y[2], t[0], t[1], t[2]
    limit0, limit1, limit2 = limit[0], limit[1], limit[2]
    for k in range(start, stop):
        f0 = min(np.floor(y0[k]), limit0)
        f1 = min(np.floor(y1[k]), limit1)
        f2 = min(np.floor(y2[k]), limit2)
        offset[k] = np.uint32(f0) * stride0 + np.uint32(f1) * stride1 + np.uint32(f2)
        t0[k], t1[k], t2[k] = y0[k] - f0, y1[k] - f1, y2[k] - f2


@njit(nogil=True, cache=True)
def row_values(flat, start, stop, shape, offset, t, value):
    """Linear interpolation in the cells of a row; `flat` is the image as one line."""
    t0, t1, t2, one = t[0], t[1], t[2], np.uint32(1)
    row = np.uint32(shape[2])
    if shape[0] == 1:
        for k in range(start, stop):
            a = offset[k]
            b = a + row
            low = flat[a] + t2[k] * (flat[a + one] - flat[a])
            high = flat[b] + t2[k] * (flat[b + one] - flat[b])
            value[k] = low + t1[k] * (high - low)
        return
    plane = np.uint32(shape[1] * shape[2])
    for k in range(start, stop):
        a = offset[k]
        b, c = a + row, a + plane
        d = c + row
        p00 = flat[a] + t2[k] * (flat[a + one] - flat[a])
        p01 = flat[b] + t2[k] * (flat[b + one] - flat[b])
        p10 = flat[c] + t2[k] * (flat[c + one] - flat[c])
        p11 = flat[d] + t2[k] * (flat[d + one] - flat[d])
        low = p00 + t1[k] * (p01 - p00)
        value[k] = low + t0[k] * (p10 + t1[k] * (p11 - p10) - low)


@njit(nogil=True, cache=True)
def row_forces(flat, start, stop, shape, offset, t, slope, force):
    """force[d, k] = slope[k] times the gradient of the linear interpolant."""
    t0, t1, t2, one = t[0], t[1], t[2], np.uint32(1)
    q0, q1, q2, row = force[0], force[1], force[2], np.uint32(shape[2])
    if shape[0] == 1:
        for k in range(start, stop):
            a = offset[k]
            b = a + row
            e0, e1 = flat[a + one] - flat[a], flat[b + one] - flat[b]
            rise = flat[b] + t2[k] * e1 - (flat[a] + t2[k] * e0)
            q0[k] = 0
            q1[k] = slope[k] * rise
            q2[k] = slope[k] * (e0 + t1[k] * (e1 - e0))
        return
    plane = np.uint32(shape[1] * shape[2])
    for k in range(start, stop):
        a = offset[k]
        b, c = a + row, a + plane
        d = c + row
        e00, e01 = flat[a + one] - flat[a], flat[b + one] - flat[b]
        e10, e11 = flat[c + one] - flat[c], flat[d + one] - flat[d]
        p00, p01 = flat[a] + t2[k] * e00, flat[b] + t2[k] * e01
        p10, p11 = flat[c] + t2[k] * e10, flat[d] + t2[k] * e11
        d0, d1 = p01 - p00, p11 - p10
        f0, f1 = e00 + t1[k] * (e01 - e00), e10 + t1[k] * (e11 - e10)
        q0[k] = slope[k] * (p10 + t1[k] * d1 - p00 - t1[k] * d0)
        q1[k] = slope[k] * (d0 + t0[k] * (d1 - d0))
        q2[k] = slope[k] * (f0 + t0[k] * (f1 - f0))


@njit(nogil=True, cache=True, inline="always")
def clamp_axis(y, n):
    """(nearest position inside [0, n - 1], weight, d weight / dy) along one axis."""
    last = n - 1
    if y < 0:
        s = max(1 + y, y * 0)
        return y * 0, s * s * (3 - 2 * s), 6 * s * (1 - s)
    if y > last:
        s = max(n - y, y * 0)
        return y * 0 + last, s * s * (3 - 2 * s), -6 * s * (1 - s)
    return y, y * 0 + 1, y * 0


@njit(nogil=True, cache=True)
def linear_sample(image, y0, y1, y2):
    """(value, g0, g1, g2) of the linear interpolant at a position inside the image."""
    n0, n1, n2 = image.shape
    a, b, c = min(int(y0), max(n0 - 2, 0)), min(int(y1), n1 - 2), min(int(y2), n2 - 2)
    t0, t1, t2 = y0 - a, y1 - b, y2 - c
    e00 = image[a, b, c + 1] - image[a, b, c]
    e01 = image[a, b + 1, c + 1] - image[a, b + 1, c]
    p00, p01 = image[a, b, c] + t2 * e00, image[a, b + 1, c] + t2 * e01
    low, slope = p00 + t1 * (p01 - p00), e00 + t1 * (e01 - e00)
    if n0 == 1:
        return low, y0 * 0, p01 - p00, slope
    e10 = image[a + 1, b, c + 1] - image[a + 1, b, c]
    e11 = image[a + 1, b + 1, c + 1] - image[a + 1, b + 1, c]
    p10, p11 = image[a + 1, b, c] + t2 * e10, image[a + 1, b + 1, c] + t2 * e11
    high = p10 + t1 * (p11 - p10)
    g1 = (p01 - p00) + t0 * ((p11 - p10) - (p01 - p00))
    g2 = slope + t0 * (e10 + t1 * (e11 - e10) - slope)
    return low + t0 * (high - low), high - low, g1, g2


@njit(nogil=True, cache=True, inline="always")
def _mirror(index, n):
    """Index reflected about the first and last sample (whole-sample symmetry)."""
    if n == 1:
        return 0
    period = 2 * (n - 1)
    index = abs(index) % period
    return period - index if index >= n else index


@njit(nogil=True, cache=True, inline="always")
def _cubic_weights(t, value, slope):
    """Cubic B-spline weights of four neighbours at offset t, and their derivatives."""
    s = 1 - t
    value[0] = s * s * s / 6
    value[1] = (4 - 6 * t * t + 3 * t * t * t) / 6
    value[2] = (4 - 6 * s * s + 3 * s * s * s) / 6
    value[3] = t * t * t / 6
    slope[0] = -s * s / 2
    slope[1] = (3 * t * t - 4 * t) / 2
    slope[2] = (4 * s - 3 * s * s) / 2
    slope[3] = t * t / 2


@njit(nogil=True, cache=True)
def cubic_sample(coefficients, y0, y1, y2, weights):
    """(value, g0, g1, g2) of a cubic B-spline image (coefficients prefiltered, mirrored border).

    weights (6, 4) is scratch.
    """
    n0, n1, n2 = coefficients.shape
    a, b, c = int(math.floor(y0)), int(math.floor(y1)), int(math.floor(y2))
    _cubic_weights(y0 - a, weights[0], weights[3])
    _cubic_weights(y1 - b, weights[1], weights[4])
    _cubic_weights(y2 - c, weights[2], weights[5])
    if n0 == 1:
        for p in range(4):
            weights[0, p] = p == 1
            weights[3, p] = 0
    value = g0 = g1 = g2 = y0 * 0
    for p in range(4):
        if n0 == 1 and p != 1:
            continue
        plane = _mirror(a + p - 1, n0)
        for q in range(4):
            row = _mirror(b + q - 1, n1)
            along = slope = y0 * 0
            for r in range(4):
                sample = coefficients[plane, row, _mirror(c + r - 1, n2)]
                along += weights[2, r] * sample
                slope += weights[5, r] * sample
            value += weights[0, p] * weights[1, q] * along
            g0 += weights[3, p] * weights[1, q] * along
            g1 += weights[0, p] * weights[4, q] * along
            g2 += weights[0, p] * weights[1, q] * slope
    return value, g0, g1, g2


@njit(nogil=True, cache=True, inline="always")
def bend(value, low, high):
    """(value kept within one bin of [low, high], its derivative): once continuously differentiable.

    Cubic splines overshoot; clipping would put a kink exactly where the background lies.
    """
    if value < low:
        slope = math.exp(value - low)
        return low - 1 + slope, slope
    if value > high:
        slope = math.exp(high - value)
        return high + 1 - slope, slope
    return value, value * 0 + 1
