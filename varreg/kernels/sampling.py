"""Where a voxel goes, and what the moving image is there: value, gradient, share in view.

The map of a level, in voxels: y(i) = W (i, 1) + V u(i), with u interpolated linearly between
nodes.  A point more than one voxel outside the moving image is out of view; in between its weight
falls smoothly (3 s^2 - 2 s^3), so that the energy stays differentiable when voxels leave.
"""

from __future__ import annotations

import math

from numba import njit


@njit(nogil=True, cache=True, inline="always")
def row_positions(i, j, planes, rows, nodes, index, weight, linear, spread, coordinate, line, y):
    """Positions in the moving image of all voxels of row (i, j).

    nodes (3, a, b, c); index, weight (2, planes + rows + n) two-node tables of the three axes;
    linear (3, 4) is W, spread (3, 3) is V; coordinate (n,) holds 0, 1, 2, ...; line (3, c) is
    scratch; y (3, n) receives the positions.
    """
    n, count = y.shape[1], nodes.shape[3]
    row, column = planes + j, planes + rows
    i0, i1, j0, j1 = index[0, i], index[1, i], index[0, row], index[1, row]
    w00 = weight[0, i] * weight[0, row]
    w01 = weight[0, i] * weight[1, row]
    w10 = weight[1, i] * weight[0, row]
    w11 = weight[1, i] * weight[1, row]
    for d in range(3):
        v0, v1, v2 = spread[d, 0], spread[d, 1], spread[d, 2]
        for k in range(count):
            u0 = w00 * nodes[0, i0, j0, k] + w01 * nodes[0, i0, j1, k]
            u1 = w00 * nodes[1, i0, j0, k] + w01 * nodes[1, i0, j1, k]
            u2 = w00 * nodes[2, i0, j0, k] + w01 * nodes[2, i0, j1, k]
            u0 += w10 * nodes[0, i1, j0, k] + w11 * nodes[0, i1, j1, k]
            u1 += w10 * nodes[1, i1, j0, k] + w11 * nodes[1, i1, j1, k]
            u2 += w10 * nodes[2, i1, j0, k] + w11 * nodes[2, i1, j1, k]
            line[d, k] = v0 * u0 + v1 * u1 + v2 * u2
        start = linear[d, 0] * coordinate[i] + linear[d, 1] * coordinate[j] + linear[d, 3]
        slope = linear[d, 2]
        for k in range(n):
            moved = weight[0, column + k] * line[d, index[0, column + k]]
            moved += weight[1, column + k] * line[d, index[1, column + k]]
            y[d, k] = start + slope * coordinate[k] + moved


@njit(nogil=True, cache=True, inline="always")
def clamp_axis(y, n):
    """(nearest position inside [0, n - 1], weight, d weight / dy); 1-D."""
    last = n - 1
    if y < 0:
        s = max(1 + y, y * 0)
        return y * 0, s * s * (3 - 2 * s), 6 * s * (1 - s)
    if y > last:
        s = max(n - y, y * 0)
        return y * 0 + last, s * s * (3 - 2 * s), -6 * s * (1 - s)
    return y, y * 0 + 1, y * 0


@njit(nogil=True, cache=True, inline="always")
def linear_value(image, y0, y1, y2):
    """Trilinear value at a position inside the image; one plane is bilinear."""
    n0, n1, n2 = image.shape
    b = min(int(y1), max(n1 - 2, 0))
    c = min(int(y2), max(n2 - 2, 0))
    t1, t2 = y1 - b, y2 - c
    b1, c1 = min(b + 1, n1 - 1), min(c + 1, n2 - 1)
    if n0 == 1:
        low = image[0, b, c] + t2 * (image[0, b, c1] - image[0, b, c])
        high = image[0, b1, c] + t2 * (image[0, b1, c1] - image[0, b1, c])
        return low + t1 * (high - low)
    a = min(int(y0), n0 - 2)
    t0 = y0 - a
    p00 = image[a, b, c] + t2 * (image[a, b, c1] - image[a, b, c])
    p01 = image[a, b1, c] + t2 * (image[a, b1, c1] - image[a, b1, c])
    p10 = image[a + 1, b, c] + t2 * (image[a + 1, b, c1] - image[a + 1, b, c])
    p11 = image[a + 1, b1, c] + t2 * (image[a + 1, b1, c1] - image[a + 1, b1, c])
    low = p00 + t1 * (p01 - p00)
    return low + t0 * (p10 + t1 * (p11 - p10) - low)


@njit(nogil=True, cache=True, inline="always")
def linear_gradient(image, y0, y1, y2):
    """Gradient of the trilinear interpolant, per voxel of the image."""
    n0, n1, n2 = image.shape
    b = min(int(y1), max(n1 - 2, 0))
    c = min(int(y2), max(n2 - 2, 0))
    t1, t2 = y1 - b, y2 - c
    b1, c1 = min(b + 1, n1 - 1), min(c + 1, n2 - 1)
    if n0 == 1:
        e0 = image[0, b, c1] - image[0, b, c]
        e1 = image[0, b1, c1] - image[0, b1, c]
        low = image[0, b, c] + t2 * e0
        high = image[0, b1, c] + t2 * e1
        return y0 * 0, high - low, e0 + t1 * (e1 - e0)
    a = min(int(y0), n0 - 2)
    t0 = y0 - a
    e00 = image[a, b, c1] - image[a, b, c]
    e01 = image[a, b1, c1] - image[a, b1, c]
    e10 = image[a + 1, b, c1] - image[a + 1, b, c]
    e11 = image[a + 1, b1, c1] - image[a + 1, b1, c]
    p00 = image[a, b, c] + t2 * e00
    p01 = image[a, b1, c] + t2 * e01
    p10 = image[a + 1, b, c] + t2 * e10
    p11 = image[a + 1, b1, c] + t2 * e11
    low = p00 + t1 * (p01 - p00)
    high = p10 + t1 * (p11 - p10)
    f0 = e00 + t1 * (e01 - e00)
    f1 = e10 + t1 * (e11 - e10)
    g1 = (p01 - p00) + t0 * ((p11 - p10) - (p01 - p00))
    return high - low, g1, f0 + t0 * (f1 - f0)


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
    """Value and gradient of a cubic B-spline image (coefficients prefiltered, mirrored border).

    weights (6, 4) is scratch.  Returns (value, g0, g1, g2).
    """
    n0, n1, n2 = coefficients.shape
    a, b, c = int(math.floor(y0)), int(math.floor(y1)), int(math.floor(y2))
    _cubic_weights(y0 - a, weights[0], weights[3])
    _cubic_weights(y1 - b, weights[1], weights[4])
    _cubic_weights(y2 - c, weights[2], weights[5])
    if n0 == 1:
        weights[0, :] = 0
        weights[3, :] = 0
        weights[0, 1] = 1
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
