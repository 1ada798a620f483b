r"""Matching points as guides: what it costs that a map does not take them to each other.

.. math:: P(\varphi) = \frac{\sum_i w_i\,|\varphi(x_i) - y_i|^2}{\sum_i w_i}, \qquad \varphi(x) = A(x + u(x)),

the weighted mean of the squared distances, mm\ :sup:`2`, of where the map takes the fixed points from the moving ones.
In the energy it has a weight of :math:`\eta` nats per mm\ :sup:`2`: that all points are 1 mm off costs :math:`\eta` nats, whatever
their number.  u at a point is interpolated between its nodes as everywhere, so that P is quadratic in u, and its
gradient at the nodes is the transpose of that interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..backends.arrays import Array
from ..backends.namespace import beside, on_host
from ..geometry.displacement import axis_table
from ..geometry.grid import Grid
from ..geometry.matrices import transform_points


@dataclass(frozen=True, eq=False)
class MatchedPoints:
    """Points of the fixed image and where they lie in the moving one.

    Parameters
    ----------
    fixed, moving : (d, n) array
        World mm.
    weights : (n,) array
        Above 0; only their ratios count.
    """

    fixed: Array
    moving: Array
    weights: Array

    @cached_property
    def shares(self) -> Array:
        """The weights, which add up to 1."""
        return np.asarray(self.weights / self.weights.sum())

    def squared(self, there: Array) -> float:
        """P where the fixed points come to lie at `there`, (d, n) world mm."""
        return float(self.shares @ np.square(there - self.moving).sum(0))

    def affine_value(self, matrix: Array) -> float:
        """P of an affine map."""
        return self.squared(transform_points(matrix, self.fixed))

    def affine_gradient(self, matrix: Array) -> Array:
        """dP/dA, (d, d + 1)."""
        force = 2 * self.shares * (transform_points(matrix, self.fixed) - self.moving)
        return np.asarray(np.concatenate([force @ self.fixed.T, force.sum(1)[:, None]], axis=1))

    def rigid(self) -> Array:
        """The rotation and shift of least P, (d + 1, d + 1); of points on a line without a turn about it."""
        here, there = (
            (side * self.shares).sum(1, keepdims=True) for side in (self.fixed, self.moving)
        )
        spread = (self.moving - there) * self.shares @ (self.fixed - here).T
        left, _, right = np.linalg.svd(spread)
        mirror = np.ones(len(here))
        mirror[-1] = np.sign(np.linalg.det(left @ right))
        matrix = np.eye(len(here) + 1)
        if np.linalg.matrix_rank(spread) >= len(here) - 1:
            matrix[:-1, :-1] = left * mirror @ right
        matrix[:-1, -1:] = there - matrix[:-1, :-1] @ here
        return matrix


class PointTerm:
    """P of a displacement on its grid.

    Parameters
    ----------
    points : MatchedPoints
    grid : Grid
        Of the fixed image.
    affine : (d + 1, d + 1) array
        A.
    nodes : tuple of int
        Of the displacement grid.
    constraint : {"zero-mean", "zero-boundary"}
    """

    def __init__(
        self, points: MatchedPoints, grid: Grid, affine: Array, nodes: tuple[int, ...], constraint: str
    ) -> None:  # fmt: skip
        self.points, self.nodes = points, nodes
        self.still = transform_points(affine, points.fixed)
        self.linear = affine[:-1, :-1] @ grid.direction  # moving mm per mm of u
        voxels = grid.world_to_voxel(points.fixed)
        tables = [
            axis_table(at, n, m, constraint)
            for at, n, m in zip(voxels, grid.shape, nodes, strict=True)
        ]
        corners = list(np.ndindex(*(2,) * len(nodes)))
        flat = np.zeros((len(corners), len(points.weights)), dtype=np.intp)
        self.weights = np.ones(flat.shape)
        for row, corner in enumerate(corners):
            for table, bit, m in zip(tables, corner, nodes, strict=True):
                flat[row] = flat[row] * m + table[bit]
                self.weights[row] *= table[2 + bit]
        #: The nodes that points touch, and which of them each corner of each point is, (2^d, n).
        self.touched, where = np.unique(flat, return_inverse=True)
        self.corners: NDArray[np.intp] = where.reshape(flat.shape)

    def value(self, field: Array) -> float:
        r"""P of u at the nodes, (d, \*m) mm."""
        return self.points.squared(self.mapped(field))

    def gradient(self, field: Array) -> Array:
        r"""dP/du at the nodes, (d, \*m) mm, where u is."""
        apart = 2 * self.points.shares * (self.mapped(field) - self.points.moving)
        pushed = self.linear.T @ apart
        at = np.zeros((len(pushed), len(self.touched)))
        for corner, weight in zip(self.corners, self.weights, strict=True):
            for component, force in zip(at, pushed, strict=True):
                component += np.bincount(corner, weight * force, minlength=len(self.touched))
        found = np.zeros_like(field).reshape(len(pushed), -1)
        found[:, beside(self.touched, field)] = beside(at, field)
        return found.reshape(field.shape)

    def mapped(self, field: Array) -> Array:
        """A(x + u(x)) at the points, (d, n) world mm."""
        flat = field.reshape(len(field), -1)
        touched = on_host(flat[:, beside(self.touched, field)])
        u = (touched[:, self.corners] * self.weights).sum(1)
        return np.asarray(self.still + self.linear @ u)
