r"""Point term: the penalty on distances between matching points.

.. math:: P(\varphi) = \frac{\sum_i w_i\,|\varphi(x_i) - y_i|^2}{\sum_i w_i}, \qquad \varphi(x) = A(x + u(x)),

is the weighted mean of the squared distances, mm\ :sup:`2`, between the mapped fixed points and the moving points.
Its weight in the energy is :math:`\eta` nats per mm\ :sup:`2`: a distance of 1 mm at all points adds :math:`\eta` nats,
independently of their number.  u at a point is interpolated linearly between the nodes, so that P is quadratic in u, and its
gradient at the nodes is obtained with the transpose of this interpolation.
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
    """Pairs of corresponding points of the fixed and the moving image.

    Parameters
    ----------
    fixed, moving : (d, n) array
        World coordinates, mm.
    weights : (n,) array
        Positive weights; only their ratios matter.
    """

    fixed: Array
    moving: Array
    weights: Array

    @cached_property
    def shares(self) -> Array:
        """Weights normalised to a sum of 1, (n,)."""
        return np.asarray(self.weights / self.weights.sum())

    def squared(self, there: Array) -> float:
        """P for mapped fixed points `there`, (d, n) world mm."""
        return float(self.shares @ np.square(there - self.moving).sum(0))

    def affine_value(self, matrix: Array) -> float:
        """P of an affine map."""
        return self.squared(transform_points(matrix, self.fixed))

    def affine_gradient(self, matrix: Array) -> Array:
        """dP/dA at an affine map, (d, d + 1)."""
        force = 2 * self.shares * (transform_points(matrix, self.fixed) - self.moving)
        return np.asarray(np.concatenate([force @ self.fixed.T, force.sum(1)[:, None]], axis=1))

    def rigid(self) -> Array:
        """Rigid map of least P, (d + 1, d + 1); without rotation if the points do not determine one."""
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
    """The point term on one displacement grid.

    Parameters
    ----------
    points : MatchedPoints
    grid : Grid
        Grid of the fixed image.
    affine : (d + 1, d + 1) array
        A, fixed world -> moving world (mm).
    nodes : tuple of int
        (*m), nodes of the displacement grid.
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
        #: Flat indices of the nodes around points, and for each corner and point its index into them, (2^d, n).
        self.touched, where = np.unique(flat, return_inverse=True)
        self.corners: NDArray[np.intp] = where.reshape(flat.shape)

    def value(self, field: Array) -> float:
        r"""P, mm\ :sup:`2`, of u at the nodes, (d, \*m) mm."""
        return self.points.squared(self.mapped(field))

    def gradient(self, field: Array) -> Array:
        r"""dP/du at the nodes, (d, \*m) mm, on the device of u."""
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
