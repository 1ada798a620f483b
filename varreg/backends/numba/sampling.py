"""Interpolation of an image, linear or cubic: value, gradient, and weight in the field of view.

Points more than one voxel outside the moving image are out of view; in between the weight decreases
smoothly (3 s^2 - 2 s^3), so that the energy remains differentiable when voxels leave the field of view.

The functions of whole rows (``row_*``) are simple loops that the compiler vectorises.  Their counters
are unsigned: a signed counter that does not start at zero could be negative, for which Numba would test
at every voxel.
"""

from __future__ import annotations

import math

import numpy as np

from .compiled import expanded, part


@part()
def row_values(flat, start, stop, shape, offset, t, value):
    """Linear interpolation in the cells of a row; `flat` is the flattened image."""
    one, row, plane = np.uint32(1), np.uint32(shape[2]), np.uint32(shape[1] * shape[2])
    if shape[0] == 1:
        for k in range(np.uint64(start), np.uint64(stop)):
            a = offset[k]
            b = a + row
            low = flat[a] + t[2, k] * (flat[a + one] - flat[a])
            high = flat[b] + t[2, k] * (flat[b + one] - flat[b])
            value[k] = low + t[1, k] * (high - low)
        return
    for k in range(np.uint64(start), np.uint64(stop)):
        a = offset[k]
        b, c = a + row, a + plane
        d = c + row
        p00 = flat[a] + t[2, k] * (flat[a + one] - flat[a])
        p01 = flat[b] + t[2, k] * (flat[b + one] - flat[b])
        p10 = flat[c] + t[2, k] * (flat[c + one] - flat[c])
        p11 = flat[d] + t[2, k] * (flat[d + one] - flat[d])
        low = p00 + t[1, k] * (p01 - p00)
        value[k] = low + t[0, k] * (p10 + t[1, k] * (p11 - p10) - low)


@part()
def row_gradients(flat, start, stop, shape, offset, t, value, gradient):
    """Linear interpolation in the cells of a row, and its gradient (3, n)."""
    one, row, plane = np.uint32(1), np.uint32(shape[2]), np.uint32(shape[1] * shape[2])
    if shape[0] == 1:
        for k in range(np.uint64(start), np.uint64(stop)):
            a = offset[k]
            b = a + row
            e0, e1 = flat[a + one] - flat[a], flat[b + one] - flat[b]
            low = flat[a] + t[2, k] * e0
            rise = flat[b] + t[2, k] * e1 - low
            value[k] = low + t[1, k] * rise
            gradient[0, k] = 0
            gradient[1, k] = rise
            gradient[2, k] = e0 + t[1, k] * (e1 - e0)
        return
    for k in range(np.uint64(start), np.uint64(stop)):
        a = offset[k]
        b, c = a + row, a + plane
        d = c + row
        t0, t1, t2 = t[0, k], t[1, k], t[2, k]
        e00, e01 = flat[a + one] - flat[a], flat[b + one] - flat[b]
        e10, e11 = flat[c + one] - flat[c], flat[d + one] - flat[d]
        p00, p10 = flat[a] + t2 * e00, flat[c] + t2 * e10
        d0, d1 = flat[b] + t2 * e01 - p00, flat[d] + t2 * e11 - p10
        f0, f1 = e00 + t1 * (e01 - e00), e10 + t1 * (e11 - e10)
        low = p00 + t1 * d0
        rise = p10 + t1 * d1 - low
        value[k] = low + t0 * rise
        gradient[0, k] = rise
        gradient[1, k] = d0 + t0 * (d1 - d0)
        gradient[2, k] = f0 + t0 * (f1 - f0)


@expanded
def clamp_axis(y, n):
    """(nearest position inside [0, n - 1], weight, d weight / dy) along one axis.

    Infinite positions and NaN are out of view, at 0 or n - 1, because they must not be used as indices.
    """
    last = n - 1
    if y > last:
        s = max(n - y, 0.0)
        return last + 0.0, s * s * (3 - 2 * s), -6 * s * (1 - s)
    if y >= 0:
        return y, 1.0, 0.0
    s = max(0.0, 1 + y)  # with this order of arguments 0 for NaN
    return 0.0, s * s * (3 - 2 * s), 6 * s * (1 - s)


@part()
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


@expanded
def _mirror(index, n):
    """Index reflected about the first and last sample (whole-sample symmetry)."""
    if n == 1:
        return 0
    period = 2 * (n - 1)
    index = abs(index) % period
    return period - index if index >= n else index


@expanded
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


@part()
def cubic_sample(coefficients, y0, y1, y2, weights):
    """(value, g0, g1, g2) of cubic B-spline interpolation (prefiltered coefficients, mirrored border).

    weights (6, 4) is workspace.
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


@expanded
def bend(value, low, high):
    """(value compressed to within one bin of [low, high], its derivative), continuously differentiable.

    Cubic splines overshoot; clipping would not be differentiable exactly at the background value.
    """
    if value < low:
        slope = math.exp(value - low)
        return low - 1 + slope, slope
    if value > high:
        slope = math.exp(high - value)
        return high + 1 - slope, slope
    return value, value * 0 + 1
