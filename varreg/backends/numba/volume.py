"""Volume term and its gradient: see :mod:`varreg.energy.volume` for the definition.

At a corner of a multilinear cell det(id + grad u) is the triple product of the three edges that meet there.
"""

from __future__ import annotations

import numpy as np

from ..volume import SMALLEST
from .compiled import kernel, part
from .folding import _row_edges

#: Second derivative of the Taylor polynomial below SMALLEST.
_CURVATURE = (1 + 3 * SMALLEST**-4) / 4


@part(fastmath={"nnan", "nsz"})
def _cost(determinant):  # without branches, so that loops are vectorised
    held = max(determinant, SMALLEST)
    beyond, square = determinant - held, held * held
    slope = 0.25 * (held - 1 / (square * held))
    return 0.125 * (square + 1 / square) - 0.25 + beyond * (slope + 0.5 * beyond * _CURVATURE)


@part(fastmath={"nnan", "nsz"})
def _slope(determinant):
    held = max(determinant, SMALLEST)
    return 0.25 * (held - 1 / (held * held * held)) + (determinant - held) * _CURVATURE


@kernel
def volume_sum(first, stop, blocks, field, spacing, total):
    """Sum of the volume term over the corners of the cells of each block of planes, in 3D.

    Parameters
    ----------
    field : (3, a, b, c) array
        Displacement at the nodes, in the unit of `spacing`.
    spacing : (3,) array
        Node spacing.
    total : (blocks,) array, output
    """
    planes, rows, nodes = field.shape[1] - 1, field.shape[2] - 1, field.shape[3]
    d0, d1, d2 = np.empty((2, 3, nodes)), np.empty((2, 3, nodes)), np.empty((2, 2, 3, nodes - 1))
    sums = np.empty(nodes - 1)
    for block in range(first, stop):
        sums[:] = 0
        for i in range(block * planes // blocks, (block + 1) * planes // blocks):
            for j in range(rows):
                _row_edges(field, spacing, i, j, d0, d1, d2)
                for corner in range(8):
                    p, q, r = corner >> 2, corner >> 1 & 1, corner & 1
                    a0, a1, a2 = d0[q, 0, r:], d0[q, 1, r:], d0[q, 2, r:]
                    b0, b1, b2 = d1[p, 0, r:], d1[p, 1, r:], d1[p, 2, r:]
                    c0, c1, c2 = d2[p, q, 0], d2[p, q, 1], d2[p, q, 2]
                    for k in range(nodes - 1):
                        x = b1[k] * c2[k] - b2[k] * c1[k]
                        y = b2[k] * c0[k] - b0[k] * c2[k]
                        z = b0[k] * c1[k] - b1[k] * c0[k]
                        sums[k] += _cost(a0[k] * x + a1[k] * y + a2[k] * z)
        total[block] = sums.sum()


@part()
def _row_stress(d0, d1, d2, scale, weight, t0, t1, t2):
    """Add the derivatives with respect to the edges d0, d1, d2 of a row of cells to t0, t1, t2."""
    for corner in range(8):
        p, q, r = corner >> 2, corner >> 1 & 1, corner & 1
        a0, a1, a2 = d0[q, 0, r:], d0[q, 1, r:], d0[q, 2, r:]
        b0, b1, b2 = d1[p, 0, r:], d1[p, 1, r:], d1[p, 2, r:]
        c0, c1, c2 = d2[p, q, 0], d2[p, q, 1], d2[p, q, 2]
        for k in range(weight.size):
            x = b1[k] * c2[k] - b2[k] * c1[k]
            y = b2[k] * c0[k] - b0[k] * c2[k]
            z = b0[k] * c1[k] - b1[k] * c0[k]
            weight[k] = scale * _slope(a0[k] * x + a1[k] * y + a2[k] * z)
        for first, second, of_edge in (
            ((b0, b1, b2), (c0, c1, c2), (t0[q, 0, r:], t0[q, 1, r:], t0[q, 2, r:])),
            ((c0, c1, c2), (a0, a1, a2), (t1[p, 0, r:], t1[p, 1, r:], t1[p, 2, r:])),
            ((a0, a1, a2), (b0, b1, b2), (t2[p, q, 0], t2[p, q, 1], t2[p, q, 2])),
        ):
            _add_product(weight, first[1], second[2], first[2], second[1], of_edge[0])
            _add_product(weight, first[2], second[0], first[0], second[2], of_edge[1])
            _add_product(weight, first[0], second[1], first[1], second[0], of_edge[2])


@part()
def _add_product(weight, a, b, c, d, out):
    """Add weight (a b - c d) to `out`; with more outputs per loop, alias checks would prevent vectorisation."""
    for k in range(weight.size):
        out[k] += weight[k] * (a[k] * b[k] - c[k] * d[k])


@part()
def _add_row(t0, t1, t2, spacing, out, i, j):
    """Add the derivatives with respect to the edges of the cells (i, j, :) to their nodes, out (3, a, b, c)."""
    one, two, three = 1 / spacing[0], 1 / spacing[1], 1 / spacing[2]
    for d in range(3):
        for q in range(2):
            _add_scaled(t0[q, d], -one, out[d, i, j + q])
            _add_scaled(t0[q, d], one, out[d, i + 1, j + q])
        for p in range(2):
            _add_scaled(t1[p, d], -two, out[d, i + p, j])
            _add_scaled(t1[p, d], two, out[d, i + p, j + 1])
            for q in range(2):
                line = out[d, i + p, j + q]
                _add_scaled(t2[p, q, d], -three, line)
                _add_scaled(t2[p, q, d], three, line[1:])


@part()
def _add_scaled(row, factor, out):
    for k in range(row.size):
        out[k] += factor * row[k]


@kernel
def volume_gradients(first, stop, blocks, field, spacing, scale, gradient, last):
    """`scale` times the derivative of :func:`volume_sum` with respect to the nodes of each block, in 3D.

    Parameters
    ----------
    gradient : (3, a, b, c) array, output
        Each block writes its planes except the last, which is the first of the next block.
    last : (blocks, 3, 2, b, c) array, output
        Contributions of the last plane of cells of each block to its two planes of nodes.
    """
    planes, rows, nodes = field.shape[1] - 1, field.shape[2] - 1, field.shape[3]
    d0, d1, d2 = np.empty((2, 3, nodes)), np.empty((2, 3, nodes)), np.empty((2, 2, 3, nodes - 1))
    t0, t1, t2 = np.empty((2, 3, nodes)), np.empty((2, 3, nodes)), np.empty((2, 2, 3, nodes - 1))
    weight = np.empty(nodes - 1)
    for block in range(first, stop):
        begin, end = block * planes // blocks, (block + 1) * planes // blocks
        gradient[:, begin:end] = 0
        last[block] = 0
        for i in range(begin, end):
            for j in range(rows):
                _row_edges(field, spacing, i, j, d0, d1, d2)
                t0[:] = 0
                t1[:] = 0
                t2[:] = 0
                _row_stress(d0, d1, d2, scale, weight, t0, t1, t2)
                if i < end - 1:
                    _add_row(t0, t1, t2, spacing, gradient, i, j)
                else:
                    _add_row(t0, t1, t2, spacing, last[block], 0, j)


@part()
def _corner(field, j, k, q, r, one, two):
    """Derivatives of id + u along the edges of the cell (j, k) at its corner (q, r); one, two: 1 / spacing."""
    return (
        one * (field[0, j + 1, k + r] - field[0, j, k + r]) + 1,
        one * (field[1, j + 1, k + r] - field[1, j, k + r]),
        two * (field[0, j + q, k + 1] - field[0, j + q, k]),
        two * (field[1, j + q, k + 1] - field[1, j + q, k]) + 1,
    )


@kernel
def area_sum(first, stop, blocks, field, spacing, total):
    """:func:`volume_sum` in 2D, `field` (2, b, c)."""
    rows, cells = field.shape[1] - 1, field.shape[2] - 1
    one, two = 1 / spacing[0], 1 / spacing[1]
    for block in range(first, stop):
        value = 0.0
        for j in range(block * rows // blocks, (block + 1) * rows // blocks):
            for corner in range(4):
                q, r = corner >> 1, corner & 1
                for k in range(cells):
                    a0, a1, b0, b1 = _corner(field, j, k, q, r, one, two)
                    value += _cost(a0 * b1 - a1 * b0)
        total[block] = value


@kernel
def area_gradients(first, stop, blocks, field, spacing, scale, gradient, last):
    """:func:`volume_gradients` in 2D: `gradient` (2, b, c), `last` (blocks, 2, 2, c)."""
    rows, cells = field.shape[1] - 1, field.shape[2] - 1
    one, two = 1 / spacing[0], 1 / spacing[1]
    for block in range(first, stop):
        begin, end = block * rows // blocks, (block + 1) * rows // blocks
        gradient[:, begin:end] = 0
        last[block] = 0
        for j in range(begin, end):
            out = gradient[:, j : j + 2] if j < end - 1 else last[block]
            for corner in range(4):
                q, r = corner >> 1, corner & 1
                for k in range(cells):
                    a0, a1, b0, b1 = _corner(field, j, k, q, r, one, two)
                    s = scale * _slope(a0 * b1 - a1 * b0)
                    out[0, 1, k + r] += s * b1 * one
                    out[0, 0, k + r] -= s * b1 * one
                    out[1, 1, k + r] -= s * b0 * one
                    out[1, 0, k + r] += s * b0 * one
                    out[0, q, k + 1] -= s * a1 * two
                    out[0, q, k] += s * a1 * two
                    out[1, q, k + 1] += s * a0 * two
                    out[1, q, k] -= s * a0 * two
