r"""Objective of the affine stage: optimisation of the similarity over a Lie group of matrices.

The current matrix A is updated on the fixed side, :math:`A \leftarrow A\,T_c\exp(\sum_k z_k G_k)\,T_c^{-1}`
with c the centre of the fixed image and G_k a basis of the Lie algebra of the model (translation,
rigid, similarity, affine), orthonormal with respect to the mean squared displacement over the field of
view: a unit change of any z_k moves the image by the same root-mean-square distance.  Value and gradient
are computed by the kernels of the deformable stage, with the 2^d corners of the image as nodes and a
displacement of zero there: A is the affine part of the map.

The images do not determine the scale along an axis with few slices.  The energy of the search and of
the coarsest level therefore has a penalty on stretches,

.. math:: P(A) = \tfrac w2 |M|^2, \qquad M = \tfrac12 \log(B^T B), \qquad B = A_0^{-1} A,

of the linear parts, with A_0 the given initial matrix, or else the identity: |M|^2 is the sum of
the squared logarithms of the scales.  Along :math:`A \exp(z G)` the derivative of P is
:math:`w \langle M, G\rangle`.
"""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np

from ..backends.arrays import Array
from ..backends.later import Later, known
from ..geometry.displacement import AxisTable
from ..optimise.history import Energy
from ..optimise.objective import Ahead, Evaluation, Move, limited
from ..similarity.similarity import Similarity, SimilarityValue
from ..similarity.volumes import as_volume_field, from_volume_field, voxel_map
from .lie_algebra import exponential, log_stretch, orthonormal_generators
from .points import MatchedPoints

#: Root-mean-square displacement by a unit change of a coordinate, in voxels of the level.
UNIT = 4.0
#: w in nats: scales of 1.1 along three axes add 0.003, a collapse to 0.4 along one axis adds 0.08.
STRETCH_WEIGHT = 0.2


class AffineObjective:
    """Objective over matrices, -lambda * similarity + stretch penalty + eta * point distance.

    An :class:`varreg.optimise.objective.Objective` whose states are (d + 1, d + 1) matrices, fixed
    world -> moving world (mm).

    Parameters
    ----------
    similarity : Similarity
    model : {"translation", "rigid", "similarity", "affine"}
    weight : float
        lambda.
    stretch_weight : float
        w, nats.
    reference : (d + 1, d + 1) array, optional
        A_0; by default the identity.
    points : MatchedPoints, optional
        Matching points.
    points_weight : float
        eta, nats per mm^2.
    """

    def __init__(
        self, similarity: Similarity, model: str, weight: float = 1.0, stretch_weight: float = 0.0,
        reference: Array | None = None, points: MatchedPoints | None = None, points_weight: float = 0.0,
    ) -> None:  # fmt: skip
        self.similarity, self.weight, self.stretch_weight = similarity, weight, stretch_weight
        self.points, self.points_weight = points, points_weight
        fixed, moving = similarity.fixed_grid, similarity.moving_grid
        d = fixed.dim
        self.unstretch = np.eye(d) if reference is None else np.linalg.inv(reference[:-1, :-1])
        self.model = model
        self.voxel = float(fixed.spacing.min())
        tables = [_corner_table(n) for n in fixed.shape]
        self.where = voxel_map(tables, np.zeros((d, d + 1)), np.eye(d), similarity.dtype)
        corners = np.stack(np.meshgrid(*[(0, n - 1) for n in fixed.shape], indexing="ij"))
        self.corners = np.concatenate(
            [fixed.voxel_to_world(corners.astype(float)), np.ones((1, *corners.shape[1:]))]
        )
        self.corner_list = self.corners.reshape(d + 1, -1)
        self.to_moving, self.to_fixed = np.linalg.inv(moving.affine)[:-1], fixed.affine
        self.rest = as_volume_field(np.zeros((d, *self.corners.shape[1:])))

    @cached_property
    def generators(self) -> Array:
        """Basis of :func:`orthonormal_generators`, computed with the first gradient."""
        unit = UNIT * self.voxel
        return orthonormal_generators(self.similarity.fixed_grid, self.model, unit)

    @cached_property
    def generator_list(self) -> Array:
        """The generators as rows, (parameters, (d + 1)^2)."""
        return self.generators.reshape(len(self.generators), -1)

    def evaluate(self, state: Array, ahead: Ahead | None = None) -> Evaluation:
        """Energy of a matrix; the similarity is 0 without overlap, and the energy NaN for a matrix that is not finite."""
        if not np.isfinite(state).all():
            return Evaluation(
                Energy(np.nan, np.nan, np.nan), lambda: np.full(len(self.generators), np.nan)
            )
        d = len(self.to_moving)
        self.where.linear[3 - d :, 3 - d :] = self.to_moving @ state @ self.to_fixed
        found = self.similarity.evaluate(self.where, self.rest)
        pushed = found.gradient_later() if ahead is not None and not found.is_known else None
        stretch = log_stretch(self.unstretch @ state[:-1, :-1]) if self.stretch_weight else None
        price = (
            0.0 if stretch is None else self.stretch_weight / 2 * float(np.vdot(stretch, stretch))
        )
        apart = 0.0 if self.points is None else self.points.affine_value(state)
        total = -self.weight * found.value + price + self.points_weight * apart
        energy = Energy(found.value, 0.0, total, points=apart)
        gradient = partial(self._gradient, state, found, pushed, stretch)
        return Evaluation(energy, gradient, in_view=found.in_view)

    def _gradient(
        self,
        state: Array,
        found: SimilarityValue,
        pending: Later[Array] | None,
        stretch: Array | None,
    ) -> Array:
        """dE/dz at a state, shape (parameters,)."""
        by_position = (pending or found.gradient_later()).result()
        pushed = from_volume_field(by_position.astype(float), len(state) - 1)
        d = len(state) - 1
        by_corner = pushed.reshape(d, -1) @ self.corner_list.T
        by_matrix = -self.weight * self.to_moving[:, :-1].T @ by_corner  # (d, d + 1) = dE/dA
        if self.points is not None:
            by_matrix = by_matrix + self.points_weight * self.points.affine_gradient(state)
        by_element = state[:-1].T @ by_matrix  # <dE/dA, A G_k>
        if stretch is not None:
            by_element[:-1, :-1] += self.stretch_weight * stretch
        return self.generator_list @ by_element.ravel()

    def distances(self, states: Array) -> Array:
        """Pairwise distances of n matrices, (n, n), in voxels of the level: the largest distance
        between the mapped positions of a corner of the fixed image.
        """
        moved = (states @ self.corner_list)[:, :-1]
        apart = np.square(moved[:, None] - moved[None]).sum(2).max(2)
        return np.sqrt(apart) / self.voxel

    def move(self, state: Array, direction: Array, step: float, largest: float = np.inf) -> Move:
        """Update of the matrix along a direction in the Lie algebra."""
        step = limited(step, self.largest_step(direction), largest)
        moved = state @ exponential(step * self._element(direction))
        return Move(moved, step * direction, known(step))

    def largest_step(self, direction: Array) -> float:
        """Largest displacement of a unit step over the corners, in voxels of the level."""
        shift = (self._element(direction) @ self.corner_list)[:-1]
        return float(np.sqrt(np.square(shift).sum(0).max())) / self.voxel

    def largest_displacement(self, state: Array) -> float:
        """Largest displacement of a corner, in mm."""
        moved = (state @ self.corner_list - self.corner_list)[:-1]
        return float(np.sqrt(np.square(moved).sum(0).max()))

    def _element(self, direction: Array) -> Array:
        """Element of the Lie algebra with the given coordinates, (d + 1, d + 1)."""
        size = self.generators.shape[1:]
        return (direction @ self.generator_list).reshape(size)

    def precondition(self, gradient: Array) -> Array:
        """The gradient unchanged: the orthonormal basis already scales the coordinates."""
        return gradient

    def direction_off_fold(self, direction: Array) -> None:
        """None: an affine map has no folded cells."""
        return


def _corner_table(voxels: int) -> AxisTable:
    """Weights of linear interpolation between the first and the last voxel of an axis."""
    weight1 = np.arange(voxels) / (voxels - 1)
    first = np.zeros(voxels, np.int32)
    return AxisTable(first, first + 1, 1 - weight1, weight1)  # float64: corners are not rounded
