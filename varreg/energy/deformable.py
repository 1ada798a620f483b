"""The deformable stage at one level: the energy in coordinates z, kept free of folds."""

from __future__ import annotations

from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np

from ..backends.arrays import Array
from ..backends.later import Later, known
from ..backends.namespace import beside
from ..backends.vectors import largest_length, number
from ..geometry.displacement import axis_table
from ..geometry.folding import Bound, smallest_determinant_later
from ..optimise.history import Energy
from ..optimise.objective import Ahead, Evaluation, Move, limited
from ..options.options import Options
from ..similarity.similarity import Similarity, SimilarityValue
from ..similarity.volumes import as_volume_field, from_volume_field, index_affine, voxel_map
from .points import MatchedPoints, PointTerm
from .preconditioner import Preconditioner
from .rigidity import RigidityTerm, RigidMasks
from .smoothness import Smoothness
from .unfolding import away_from
from .volume import VolumeTerm

State = tuple[Array, Array]  # coordinates z, and the field at the nodes (d, *m) in mm


class DeformableObjective:
    """E(z) = -lambda MI(S z) + |z|^2 / 2 + nu V(S z) + eta P(S z) + kappa K(S z) of one level: an
    :class:`varreg.optimise.objective.Objective`.

    A state is a pair (z, u): coordinates and the field at the nodes (d, *m), mm.

    Parameters
    ----------
    similarity : Similarity
    affine : (d + 1, d + 1) array
        Fixed world -> moving world.
    smoothness : Smoothness
        Of the displacement grid.
    options : Options
    long_waves_first : bool
        Whether L-BFGS begins with the identity in z, by which long waves move first, instead of with
        :class:`varreg.energy.preconditioner.Preconditioner`.
    points : MatchedPoints, optional
        Guides.
    rigid : RigidMasks, optional
        What is to keep its shape.
    """

    def __init__(
        self, similarity: Similarity, affine: Array, smoothness: Smoothness, options: Options,
        long_waves_first: bool = False, points: MatchedPoints | None = None, rigid: RigidMasks | None = None,
    ) -> None:  # fmt: skip
        self.similarity, self.smoothness, self.options = similarity, smoothness, options
        fixed = similarity.fixed_grid
        self.dimension = fixed.dim
        self.voxel, self.smallest_voxel = fixed.spacing, float(fixed.spacing.min())
        self.node_spacing = fixed.extent / np.array(smoothness.shape)
        self.volume_weight = options.decided(fixed.dim).volume_weight or 0.0
        self.long_waves_first = long_waves_first
        self.volume = VolumeTerm(
            self.node_spacing, options.constraint, similarity.kernels, similarity.threads
        )
        linear = index_affine(fixed, similarity.moving_grid, affine)
        by_mm = linear[:, :-1] / self.voxel  # moving voxels per mm of u
        tables = [
            axis_table(np.arange(n), n, m, options.constraint)
            for n, m in zip(fixed.shape, smoothness.shape, strict=True)
        ]
        self.where = voxel_map(tables, linear, by_mm, similarity.dtype)
        self.by_mm = self.where.displacement_matrix.astype(np.float64)
        self.points = self.rigidity = None
        place = fixed, affine, smoothness.shape, options.constraint
        if points is not None:
            self.points = PointTerm(points, *place)
        if rigid is not None:
            with_kernels = similarity.kernels, similarity.threads, similarity.dtype
            self.rigidity = RigidityTerm(rigid, *place, *with_kernels)
        self.folded_cell: tuple[int, ...] | None = None
        self._last: _Along | None = None
        self._length: tuple[Array | None, Later[float]] = None, known(0.0)  # of a field on a device

    def evaluate(self, state: State, ahead: Ahead | None = None) -> Evaluation:
        """Energy at (z, u); infinite if some cell folds, which is then remembered."""
        field = state[1]
        is_finite = self._is_finite(field)
        if is_finite.is_known and not is_finite.result():
            return _worthless(field, np.nan)
        wider, bound = self._fold(field)

        def refused() -> Evaluation | None:
            if not is_finite.result():
                return _worthless(field, np.nan)
            smallest, cell = bound.result()
            if smallest >= self.options.smallest_determinant:
                return None
            self.folded_cell = cell
            return _worthless(field, np.inf, smallest)

        if bound.is_known and (folded := refused()) is not None:
            return folded
        evaluated = self._evaluated(state, wider, bound, ahead)
        return refused() or evaluated.result()

    def evaluate_folded(self, state: State) -> Evaluation:
        """Energy at (z, u), also where it folds: what the descent never sees."""
        return self._evaluated(state, *self._fold(state[1])).result()

    def _evaluated(
        self, state: State, wider: Array, bound: Later[Bound], ahead: Ahead | None = None
    ) -> Later[Evaluation]:
        """The evaluation of a state, all terms of which are waited for together."""
        z, field = state
        smoothness = self.smoothness.value_later(z)
        volume = self.volume.value_later(wider) if self.volume_weight > 0 else known(0.0)
        found = self.similarity.evaluate(self.where, as_volume_field(field))
        # once, and forgets the rest then
        gradient = Later(lambda: self._gradient(state, wider, found).result())
        if ahead is not None and not found.is_known:
            gradient = self._gradient(state, wider, found)
            # on a device it stays there, and nothing is waited for
            if not isinstance(z, np.ndarray):
                ahead(gradient.result())

        def evaluation() -> Evaluation:
            total = -self.options.similarity_weight * found.value
            total += self.smoothness.weight * smoothness.result()
            total += self.volume_weight * volume.result()
            apart = 0.0 if self.points is None else self.points.value(field)
            total += self.options.points_weight * apart
            strain = 0.0 if self.rigidity is None else self.rigidity.value(field)
            total += self.options.rigidity_weight * strain
            terms = smoothness.result(), total, volume.result(), apart, strain
            energy = Energy(found.value, *terms)
            return Evaluation(energy, gradient.result, bound.result()[0], found.in_view)

        return Later(evaluation)

    def _gradient(self, state: State, wider: Array, found: SimilarityValue) -> Later[Array]:
        """dE/dz at a state."""
        volume = self.volume.gradient_later(wider) if self.volume_weight > 0 else None
        return found.gradient_later().then(partial(self._pulled, state, volume))

    def _pulled(self, state: State, volume: Later[Array] | None, by_position: Array) -> Array:
        """dE/dz from the gradients of the terms."""
        pushed = by_position.astype(np.float64)
        force = np.einsum("de,d...->e...", beside(self.by_mm, pushed), pushed)
        force *= -self.options.similarity_weight
        force = from_volume_field(force, self.dimension)
        if volume is not None:
            force = force + self.volume_weight * volume.result()
        z, field = state
        if self.points is not None:
            force = force + self.options.points_weight * self.points.gradient(field)
        if self.rigidity is not None:
            force = force + self.options.rigidity_weight * self.rigidity.gradient(field)
        return self.smoothness.pull_gradient(force) + z

    def move(self, state: State, direction: Array, step: float, largest: float = np.inf) -> Move:
        """(z, u) moved along a direction in z."""
        z, field = state
        along = self._along(direction)
        if isinstance(direction, np.ndarray):
            taken = limited(step, along.unit.result(), largest)
        else:  # which is known there before it is here
            taken = np.minimum(step, largest / along.unit_there)
        change = taken * direction
        moved = z + change, field + taken * along.field
        return Move(moved, change, along.unit.then(lambda unit: limited(step, unit, largest)))

    def largest_step(self, direction: Array) -> float:
        """Largest displacement of a unit step, in voxels of the level."""
        return self._along(direction).unit.result()

    def largest_displacement(self, state: State) -> float:
        """Largest displacement, in mm."""
        field, length = self._length
        return (length if field is state[1] else largest_length(state[1])).result()

    def precondition(self, gradient: Array) -> Array:
        """An approximate inverse Hessian times a gradient in z."""
        return gradient if self.long_waves_first else self._preconditioner(gradient)

    @cached_property
    def _preconditioner(self) -> Preconditioner:
        """Made when a descent asks for it: judges never do, nor descents without memory."""
        weights = self.options.similarity_weight, self.volume_weight
        return Preconditioner(self.smoothness, self.node_spacing, *weights)

    def direction_off_fold(self, direction: Array) -> Array | None:
        """S^-1 chi S d with chi = 0 at the cell that folded last, 1 far from it: all others go on.

        Otherwise one nearly folded cell would stop all.
        """
        if self.folded_cell is None:
            return None
        chi = beside(away_from(self.folded_cell, self.smoothness.shape), direction)
        return self.smoothness.to_coordinates(self._along(direction).field * chi)

    def bound(self, field: Array) -> float:
        """Lower bound of det(id + grad u) over every point."""
        return self._fold(field)[1].result()[0]

    def _fold(self, field: Array) -> tuple[Array, Later[Bound]]:
        """The field with one more node beyond each face, and the bound with the cell where it is found."""
        wider, kernels = self.volume.wider(field), self.similarity.kernels
        place = self.node_spacing, self.options.constraint, kernels, self.similarity.threads
        return wider, smallest_determinant_later(field, *place, wider)

    def _is_finite(self, field: Array) -> Later[bool]:
        if isinstance(field, np.ndarray):
            return known(bool(np.isfinite(field).all()))
        self._length = field, largest_length(field)
        return self._length[1].then(np.isfinite)

    def _along(self, direction: Array) -> _Along:
        """S d and its size, computed once for all trials along one direction."""
        if self._last is None or self._last.direction is not direction:
            field = self.smoothness.to_field(direction)
            unit = np.abs(field).max() / self.smallest_voxel
            self._last = _Along(direction, field, unit, number(unit))
        return self._last


class _Along(NamedTuple):
    """A direction d."""

    direction: Array
    field: Array  # S d
    unit_there: Any  # largest displacement of a unit step (voxels of the level), where d is
    unit: Later[float]  # and here


def _worthless(field: Array, total: float, bound: float = 1.0) -> Evaluation:
    """The evaluation of a field that has no energy."""
    return Evaluation(Energy(np.nan, np.nan, total), partial(np.full_like, field, np.nan), bound)
