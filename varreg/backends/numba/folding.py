"""Lower bound of det(id + grad u) over all cells of a multilinear field.

In 2D, the determinant of a bilinear cell is affine in the position, so that the minimum over
the four corners is exact.  In 3D, it is a polynomial of degree 2 in each coordinate, bounded from below by its
27 Bernstein coefficients (Farin, Curves and Surfaces for CAGD, 5th ed., ch. 5).
If they are low, the coefficients on the halves of the cell are used.
"""

from __future__ import annotations

import numpy as np

from ..folding import HALVED_BELOW
from .compiled import kernel, part


@part()
def _row_edges(field, spacing, i, j, d0, d1, d2):
    """Derivatives of id + u along the edges of the cells (i, j, :).

    d0[q, d, k] and d1[p, d, k]: component d along the first and the second axis, at node column k, on the edge at
    the second (first) coordinate q (p); d2[p, q, d, k]: along the third axis, of cell k.
    """
    one, two, three = 1 / spacing[0], 1 / spacing[1], 1 / spacing[2]
    for d in range(3):
        for p in range(2):
            _row_slope(field[d, i, j + p], field[d, i + 1, j + p], one, d == 0, d0[p, d])
            _row_slope(field[d, i + p, j], field[d, i + p, j + 1], two, d == 1, d1[p, d])
            for q in range(2):
                line = field[d, i + p, j + q]
                _row_slope(line, line[1:], three, d == 2, d2[p, q, d])


@part()
def _row_slope(low, high, step, identity, slope):
    for k in range(slope.size):
        slope[k] = (high[k] - low[k]) * step + identity


@part()
def _row_products(a, b, c, d, out):
    """out = a b - c d; with more outputs per loop, alias checks would prevent vectorisation."""
    for k in range(out.size):
        out[k] = a[k] * b[k] - c[k] * d[k]


@part()
def _row_coefficients(d0, d1, d2, cross, coefficient):
    """Bernstein coefficients (3, 3, 3, cells) of the determinant in a row of trilinear cells.

    The determinant is the triple product of three derivatives, each bilinear in the two other
    coordinates; the coefficient at (a, b, c) is the mean of the products of edge values whose
    indices sum to (a, b, c).  Here the sums are computed, see :func:`_row_smallest` for the means.
    """
    cells = coefficient.shape[3]
    coefficient[:] = 0
    x, y, z = cross[0], cross[1], cross[2]
    for a in range(16):
        p1, r1, p2, q2 = a & 1, (a >> 1) & 1, (a >> 2) & 1, (a >> 3) & 1
        b0, b1, b2 = d1[p1, 0, r1:], d1[p1, 1, r1:], d1[p1, 2, r1:]
        c0, c1, c2 = d2[p2, q2, 0], d2[p2, q2, 1], d2[p2, q2, 2]
        _row_products(b1, c2, b2, c1, x)
        _row_products(b2, c0, b0, c2, y)
        _row_products(b0, c1, b1, c0, z)
        for e in range(4):
            q0, r0 = e & 1, e >> 1
            a0, a1, a2 = d0[q0, 0, r0:], d0[q0, 1, r0:], d0[q0, 2, r0:]
            total = coefficient[p1 + p2, q0 + q2, r0 + r1]
            for k in range(cells):
                total[k] += a0[k] * x[k] + a1[k] * y[k] + a2[k] * z[k]


@part(fastmath={"nnan", "nsz"})
def _row_smallest(coefficient, low):
    """Divide the coefficients by their numbers of products; write the smallest of each cell to `low`."""
    low[:] = np.inf
    for a in range(27):
        p, q, r = a // 9, a // 3 % 3, a % 3
        share = 1 / ((1 + (p == 1)) * (1 + (q == 1)) * (1 + (r == 1)))
        of_all = coefficient[p, q, r]
        for k in range(low.size):
            of_all[k] *= share
            low[k] = min(low[k], of_all[k])


@part()
def _halved_smallest(coefficient):
    """Smallest Bernstein coefficient on the halves of a cell along each axis, by the de Casteljau algorithm."""
    smallest = np.inf
    for a in range(125):
        total = 0.0
        for b in range(27):
            share = _half(a // 25, b // 9) * _half(a // 5 % 5, b // 3 % 3) * _half(a % 5, b % 3)
            total += share * coefficient[b // 9, b // 3 % 3, b % 3]
        smallest = min(smallest, total)
    return smallest


@part()
def _half(new, old):
    """Weight of coefficient `old`, 0 to 2, in coefficient `new`, 0 to 4, on the halves."""
    if new == 2:
        return 0.5 if old == 1 else 0.25
    if new % 2 == 0:
        return 1.0 if old == new // 2 else 0.0
    return 0.5 if old == new // 2 or old == new // 2 + 1 else 0.0


@kernel
def volume_bound(first, stop, blocks, field, spacing, bound, place):
    """Smallest bound and its cell for each block of cells in 3D.

    Parameters
    ----------
    field : (3, a, b, c) array
        Displacement at the nodes, in the unit of `spacing`.
    spacing : (3,) array
        Node spacing.
    bound : (blocks,) array, output
    place : (blocks, 3) int array, output
    """
    planes, rows, nodes = field.shape[1] - 1, field.shape[2] - 1, field.shape[3]
    d0, d1, d2 = np.empty((2, 3, nodes)), np.empty((2, 3, nodes)), np.empty((2, 2, 3, nodes - 1))
    cross, coefficient = np.empty((3, nodes - 1)), np.empty((3, 3, 3, nodes - 1))
    low = np.empty(nodes - 1)
    for block in range(first, stop):
        bound[block] = np.inf
        for i in range(block * planes // blocks, (block + 1) * planes // blocks):
            for j in range(rows):
                _row_edges(field, spacing, i, j, d0, d1, d2)
                _row_coefficients(d0, d1, d2, cross, coefficient)
                _row_smallest(coefficient, low)
                for k in range(nodes - 1):
                    if low[k] < bound[block]:
                        if low[k] < HALVED_BELOW:
                            low[k] = _halved_smallest(coefficient[..., k])
                        if low[k] < bound[block]:
                            bound[block] = low[k]
                            place[block, 0], place[block, 1], place[block, 2] = i, j, k


@part(fastmath={"nnan", "nsz"})
def _row_minimum(field, j, first, second, low):
    """Write the smallest determinant of each cell (j, :) to `low`, and return their minimum.

    first, second: 1 / spacing along the two axes.
    """
    smallest = np.inf
    for k in range(low.size):
        b0 = second * (field[0, j, k + 1] - field[0, j, k])
        b1 = second * (field[1, j, k + 1] - field[1, j, k]) + 1
        c0 = second * (field[0, j + 1, k + 1] - field[0, j + 1, k])
        c1 = second * (field[1, j + 1, k + 1] - field[1, j + 1, k]) + 1
        a0 = first * (field[0, j + 1, k] - field[0, j, k]) + 1
        a1 = first * (field[1, j + 1, k] - field[1, j, k])
        d0 = first * (field[0, j + 1, k + 1] - field[0, j, k + 1]) + 1
        d1 = first * (field[1, j + 1, k + 1] - field[1, j, k + 1])
        one, two = (
            min(a0 * b1 - a1 * b0, a0 * c1 - a1 * c0),
            min(d0 * b1 - d1 * b0, d0 * c1 - d1 * c0),
        )
        low[k] = min(one, two)
        smallest = min(smallest, low[k])
    return smallest


@kernel
def plane_bound(first, stop, blocks, field, spacing, bound, place):
    """Exact minimum and its cell for each block of cells in 2D, `field` (2, b, c)."""
    rows, low = field.shape[1] - 1, np.empty(field.shape[2] - 1)
    for block in range(first, stop):
        bound[block] = np.inf
        for j in range(block * rows // blocks, (block + 1) * rows // blocks):
            smallest = _row_minimum(field, j, 1 / spacing[0], 1 / spacing[1], low)
            if smallest < bound[block]:
                bound[block], k = smallest, 0
                while k < low.size - 1 and low[k] > smallest:
                    k += 1
                place[block, 0], place[block, 1] = j, k
