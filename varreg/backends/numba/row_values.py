"""The moving image along a row: values, weights, and their gradients with respect to the position.

The stretches of a row are defined in :mod:`varreg.backends.numba.rows`.  Voxels in [begin, end) are processed in
vectorised loops; those before `start` and from `stop` on are clamped and processed in
the same loops; with cubic interpolation or a moving mask voxels are processed individually.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..arrays import Array, Moving
from .compiled import expanded, part
from .sampling import bend, clamp_axis, cubic_sample, linear_sample, row_gradients, row_values


def mask_or_none(moving: Moving) -> Array | None:
    """Mask for the kernels; None if rows are processed in stretches, so that only this case is compiled."""
    return moving.mask if moving.cubic or moving.mask.size else None


class RowValues(NamedTuple):
    """Workspace of one thread."""

    free: Array  # (3, n) 1 for axes along which a voxel was not clamped, else 0
    t: Array  # (3, n) local coordinates within cells
    offset: NDArray[np.uint32]  # (n,) flat indices of cells
    cubic: Array  # (6, 4) weights of cubic splines
    value: Array  # (n,)
    weight: Array  # (n,)
    gradient: Array  # (3, n) dvalue/dy
    weight_gradient: Array  # (3, n) dweight/dy
    slope: Array  # (n,) dE/dvalue
    weight_slope: Array  # (n,) dE/dweight


@expanded
def allocate_values(n, like):
    """Allocate a :class:`RowValues` for rows of n voxels, in the precision of the array `like`."""
    kind = like.dtype
    return RowValues(
        np.empty((3, n), kind), np.empty((3, n), kind), np.empty(n, np.uint32),
        np.empty((6, 4), kind), np.empty(n, kind), np.empty(n, kind), np.empty((3, n), kind),
        np.empty((3, n), kind), np.empty(n, kind), np.empty(n, kind),
    )  # fmt: skip


@part(forceinline=True)
def values(stretches, y, moving, flat, mask, row):
    """Values of the voxels in [begin, end); values and weights of those before `start` and from `stop` on.

    y (3, n) are the positions, of which the latter are clamped in place; `flat` is the flattened image.
    """
    if mask is not None:
        _voxel_values(moving, mask, y, row)
        return
    start, begin, end, stop = stretches
    if begin < end:
        _find_cells(begin, end, moving, y, row.t, row.offset)
        row_values(flat, begin, end, moving.image.shape, row.offset, row.t, row.value)
    for low, high in ((0, start), (stop, row.value.size)):
        if low < high:
            _clamp_edge(low, high, moving.image.shape, y, row)
            _find_cells(low, high, moving, y, row.t, row.offset)
            row_values(flat, low, high, moving.image.shape, row.offset, row.t, row.value)


@part(forceinline=True)
def gradients(stretches, y, moving, flat, mask, row):
    """:func:`values` with the gradients with respect to the position."""
    if mask is not None:
        _voxel_gradients(moving, mask, y, row)
        return
    shape = moving.image.shape
    start, begin, end, stop = stretches
    if begin < end:
        _find_cells(begin, end, moving, y, row.t, row.offset)
        row_gradients(flat, begin, end, shape, row.offset, row.t, row.value, row.gradient)
    for low, high in ((0, start), (stop, row.value.size)):
        if low < high:
            _clamp_edge(low, high, shape, y, row)
            _find_cells(low, high, moving, y, row.t, row.offset)
            row_gradients(flat, low, high, shape, row.offset, row.t, row.value, row.gradient)
            for d in range(3):
                for k in range(low, high):
                    row.gradient[d, k] *= row.free[d, k]


@part(forceinline=True)
def _find_cells(low, high, moving, y, t, offset):
    """Cell of each position: flat index of its first corner, and the local coordinates in [0, 1].

    Cells are clamped, because rounding errors can place positions of a row slightly outside the image.
    """
    shape, limit = moving.image.shape, moving.limit
    stride0, stride1 = np.uint32(shape[1] * shape[2]), np.uint32(shape[2])
    limit0, limit1, limit2, zero = limit[0], limit[1], limit[2], limit[0] * 0
    for k in range(np.uint64(low), np.uint64(high)):
        f0 = max(min(np.floor(y[0, k]), limit0), zero)
        f1 = max(min(np.floor(y[1, k]), limit1), zero)
        f2 = max(min(np.floor(y[2, k]), limit2), zero)
        offset[k] = np.uint32(f0) * stride0 + np.uint32(f1) * stride1 + np.uint32(f2)
        t[0, k], t[1, k], t[2, k] = y[0, k] - f0, y[1, k] - f1, y[2, k] - f2


@part(forceinline=True)
def _clamp_edge(low, high, shape, y, row):
    """Clamp positions to the image; compute weights, their gradients, and the axes without clamping."""
    free, change = row.free, row.weight_gradient
    for k in range(low, high):
        y0, w0, d0 = clamp_axis(y[0, k], shape[0])
        y1, w1, d1 = clamp_axis(y[1, k], shape[1])
        y2, w2, d2 = clamp_axis(y[2, k], shape[2])
        view = w0 * w1 * w2
        row.weight[k] = view
        change[0, k], change[1, k], change[2, k] = d0 * w1 * w2, w0 * d1 * w2, w0 * w1 * d2
        seen = view > 0
        free[0, k] = seen and y0 == y[0, k]
        free[1, k] = seen and y1 == y[1, k]
        free[2, k] = seen and y2 == y[2, k]
        y[0, k], y[1, k], y[2, k] = y0, y1, y2


@part(forceinline=True)
def _voxel_values(moving, mask, y, row):
    image, low, high = moving.image, moving.low, moving.high
    value, weight, cubic = row.value, row.weight, row.cubic
    n0, n1, n2 = image.shape
    for k in range(value.size):
        y0, w0, _ = clamp_axis(y[0, k], n0)
        y1, w1, _ = clamp_axis(y[1, k], n1)
        y2, w2, _ = clamp_axis(y[2, k], n2)
        w = w0 * w1 * w2
        if mask.size and w > 0:
            w *= linear_sample(mask, y0, y1, y2)[0]
        weight[k] = w
        if moving.cubic:
            value[k] = bend(cubic_sample(image, y0, y1, y2, cubic)[0], low, high)[0]
        else:
            value[k] = linear_sample(image, y0, y1, y2)[0]


@part(forceinline=True)
def _voxel_gradients(moving, mask, y, row):
    image, low, high = moving.image, moving.low, moving.high
    value, weight, cubic = row.value, row.weight, row.cubic
    gradient, weight_gradient = row.gradient, row.weight_gradient
    n0, n1, n2 = image.shape
    for k in range(value.size):
        y0, w0, d0 = clamp_axis(y[0, k], n0)
        y1, w1, d1 = clamp_axis(y[1, k], n1)
        y2, w2, d2 = clamp_axis(y[2, k], n2)
        view, live, mark, zero = w0 * w1 * w2, w0 * 0 + 1, w0 * 0 + 1, w0 * 0
        m0 = m1 = m2 = zero
        if moving.cubic:
            level, g0, g1, g2 = cubic_sample(image, y0, y1, y2, cubic)
            level, live = bend(level, low, high)
        else:
            level, g0, g1, g2 = linear_sample(image, y0, y1, y2)
        if mask.size and view > 0:
            mark, m0, m1, m2 = linear_sample(mask, y0, y1, y2)
        if not view > 0:  # no contribution from outside the field of view
            live = mark = m0 = m1 = m2 = zero
        value[k], weight[k] = level, view * mark
        # beyond the outermost voxel centres the value is constant
        free0, free1, free2 = y0 == y[0, k], y1 == y[1, k], y2 == y[2, k]
        gradient[0, k] = live * g0 if free0 else zero
        gradient[1, k] = live * g1 if free1 else zero
        gradient[2, k] = live * g2 if free2 else zero
        weight_gradient[0, k] = mark * d0 * w1 * w2 + (view * m0 if free0 else zero)
        weight_gradient[1, k] = mark * w0 * d1 * w2 + (view * m1 if free1 else zero)
        weight_gradient[2, k] = mark * w0 * w1 * d2 + (view * m2 if free2 else zero)


@part(forceinline=True)
def forces(stretches, row):
    """Replace the gradients of a row by dE/dy = dE/dvalue dvalue/dy + dE/dweight dweight/dy."""
    start, begin, end, stop = stretches
    slope, weight_slope, gradient, change = (
        row.slope, row.weight_slope, row.gradient, row.weight_gradient,
    )  # fmt: skip
    for d in range(3):
        for k in range(np.uint64(begin), np.uint64(end)):
            gradient[d, k] *= slope[k]
        for low, high in ((0, start), (stop, slope.size)):
            for k in range(low, high):
                gradient[d, k] = slope[k] * gradient[d, k] + weight_slope[k] * change[d, k]
