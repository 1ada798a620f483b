"""A lower bound of det(id + grad u) over every point of every cell of a multilinear field.

Two dimensions: the determinant of a bilinear cell is affine in the position, so its minimum over
the four corners is exact.  Three dimensions: it is a polynomial of degree 2 in each coordinate; its
27 Bernstein coefficients bound it from below (Farin, Curves and Surfaces for CAGD, 5th ed., ch. 5).
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, inline="always")
def _determinant(a, b, c):
    """det of the matrix with columns a, b, c (length 3)."""
    return (
        a[0] * (b[1] * c[2] - b[2] * c[1])
        - b[0] * (a[1] * c[2] - a[2] * c[1])
        + c[0] * (a[1] * b[2] - a[2] * b[1])
    )


@njit(nogil=True, cache=True, inline="always")
def _edges(field, spacing, i, j, k, edge):
    """edge[axis, p, q, :] = d(id + u)/d axis on the four edges of cell (i, j, k) along each axis."""
    for d in range(3):
        for p in range(2):
            for q in range(2):
                edge[0, p, q, d] = field[d, i + 1, j + p, k + q] - field[d, i, j + p, k + q]
                edge[1, p, q, d] = field[d, i + p, j + 1, k + q] - field[d, i + p, j, k + q]
                edge[2, p, q, d] = field[d, i + p, j + q, k + 1] - field[d, i + p, j + q, k]
    for axis in range(3):
        for p in range(2):
            for q in range(2):
                for d in range(3):
                    edge[axis, p, q, d] /= spacing[axis]
                edge[axis, p, q, axis] += 1


@njit(nogil=True, cache=True, inline="always")
def _dominance_bound(edge):
    """Cheap bound for diagonally dominant gradients: prod_d (g_dd - sum_e |g_de|); else -inf."""
    bound = 1.0
    for d in range(3):
        margin = edge[d, 0, 0, d]
        for p in range(2):
            for q in range(2):
                margin = min(margin, edge[d, p, q, d])
        for axis in range(3):
            if axis != d:
                largest = 0.0
                for p in range(2):
                    for q in range(2):
                        largest = max(largest, abs(edge[axis, p, q, d]))
                margin -= largest
        if margin <= 0:
            return -np.inf
        bound *= margin
    return bound


@njit(nogil=True, cache=True)
def _bernstein_bound(edge, coefficient):
    """Smallest Bernstein coefficient of the determinant of a trilinear cell."""
    coefficient[:, :, :] = 0
    for a in range(64):  # one bit per (derivative, other coordinate)
        q0, r0, p1, r1 = a & 1, (a >> 1) & 1, (a >> 2) & 1, (a >> 3) & 1
        p2, q2 = (a >> 4) & 1, (a >> 5) & 1
        value = _determinant(edge[0, q0, r0], edge[1, p1, r1], edge[2, p2, q2])
        coefficient[p1 + p2, q0 + q2, r0 + r1] += value
    smallest = np.inf
    for p in range(3):
        for q in range(3):
            for r in range(3):
                ways = (1 + (p == 1)) * (1 + (q == 1)) * (1 + (r == 1))
                smallest = min(smallest, coefficient[p, q, r] / ways)
    return smallest


@njit(nogil=True, cache=True)
def volume_bound(first, blocks, step, field, spacing, bound, place):
    """Smallest bound and its cell for each block of cells; 3-D.

    Parameters
    ----------
    field : (3, a, b, c) array
        Displacement at the nodes, in the unit of `spacing`.
    spacing : (3,) array
        Node spacing.
    bound : (blocks,) array, output
    place : (blocks, 3) int array, output
    """
    cells, rows, columns = field.shape[1] - 1, field.shape[2] - 1, field.shape[3] - 1
    edge = np.empty((3, 2, 2, 3))
    coefficient = np.empty((3, 3, 3))
    for block in range(first, blocks, step):
        bound[block] = np.inf
        for i in range(block * cells // blocks, (block + 1) * cells // blocks):
            for j in range(rows):
                for k in range(columns):
                    _edges(field, spacing, i, j, k, edge)
                    if _dominance_bound(edge) >= bound[block]:
                        continue
                    value = _bernstein_bound(edge, coefficient)
                    if value < bound[block]:
                        bound[block] = value
                        place[block, 0], place[block, 1], place[block, 2] = i, j, k


@njit(nogil=True, cache=True)
def plane_bound(first, blocks, step, field, spacing, bound, place):
    """Exact minimum and its cell for each block of cells; 2-D, `field` (2, b, c)."""
    cells, columns = field.shape[1] - 1, field.shape[2] - 1
    for block in range(first, blocks, step):
        bound[block] = np.inf
        for j in range(block * cells // blocks, (block + 1) * cells // blocks):
            for k in range(columns):
                for p in range(2):
                    for q in range(2):
                        a0 = (field[0, j + 1, k + q] - field[0, j, k + q]) / spacing[0]
                        a1 = (field[1, j + 1, k + q] - field[1, j, k + q]) / spacing[0]
                        b0 = (field[0, j + p, k + 1] - field[0, j + p, k]) / spacing[1]
                        b1 = (field[1, j + p, k + 1] - field[1, j + p, k]) / spacing[1]
                        value = (1 + a0) * (1 + b1) - a1 * b0
                        if value < bound[block]:
                            bound[block] = value
                            place[block, 0], place[block, 1] = j, k
