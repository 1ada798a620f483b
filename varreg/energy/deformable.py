"""Objective of the deformable stage at one level: the energy in coordinates z, infinite for folds."""

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
    """E(z) = -lambda D(S z) + |z|^2 / 2 + nu V(S z) + eta P(S z) + kappa K(S z) of one level, D the similarity.

    An :class:`varreg.optimise.objective.Objective` whose states are pairs (z, u): the coordinates and
    the displacement u = S z at the nodes, both (d, *m), u in mm along the axes of the array.

    Parameters
    ----------
    similarity : Similarity
    affine : (d + 1, d + 1) array
        Fixed world -> moving world.
    smoothness : Smoothness
        Of the displacement grid.
    options : Options
    long_waves_first : bool
        Whether the initial inverse Hessian of L-BFGS is the identity in z, which favours long wavelengths,
        instead of :class:`varreg.energy.preconditioner.Preconditioner`.
    points : MatchedPoints, optional
        Matching points.
    rigid : RigidMasks, optional
        Masks of rigid structures.
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
        """Energy at (z, u); infinite if a cell folds, which is stored for :meth:`direction_off_fold`."""
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
        """Energy at (z, u) even if it folds; for reports, not used by the descent."""
        return self._evaluated(state, *self._fold(state[1])).result()

    def _evaluated(
        self, state: State, wider: Array, bound: Later[Bound], ahead: Ahead | None = None
    ) -> Later[Evaluation]:
        """Evaluation of a state, with a single wait for all terms."""
        z, field = state
        smoothness = self.smoothness.value_later(z)
        volume = self.volume.value_later(wider) if self.volume_weight > 0 else known(0.0)
        found = self.similarity.evaluate(self.where, as_volume_field(field))
        # lazy and computed once; its inputs are released then
        gradient = Later(lambda: self._gradient(state, wider, found).result())
        if ahead is not None and not found.is_known:
            gradient = self._gradient(state, wider, found)
            # the gradient stays on the device, so that this does not wait
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
        """dE/dz, pulled back from the gradients of the terms."""
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
        """Update of (z, u) along a direction in z."""
        z, field = state
        along = self._along(direction)
        if isinstance(direction, np.ndarray):
            taken = limited(step, along.unit.result(), largest)
        else:  # the largest step is computed on the device, without waiting for its transfer
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
        """Product of the approximate inverse Hessian with a gradient in z."""
        return gradient if self.long_waves_first else self._preconditioner(gradient)

    @cached_property
    def _preconditioner(self) -> Preconditioner:
        """Made on demand: mere evaluations and descents without memory do not use it."""
        weights = self.options.similarity_weight, self.volume_weight
        return Preconditioner(self.smoothness, self.node_spacing, *weights)

    def direction_off_fold(self, direction: Array) -> Array | None:
        """S^-1 chi S d, with chi = 0 at the last folded cell and 1 far from it.

        Without it a single nearly folded cell would block the step everywhere.
        """
        if self.folded_cell is None:
            return None
        chi = beside(away_from(self.folded_cell, self.smoothness.shape), direction)
        return self.smoothness.to_coordinates(self._along(direction).field * chi)

    def bound(self, field: Array) -> float:
        """Lower bound of det(id + grad u) over the field of view."""
        return self._fold(field)[1].result()[0]

    def _fold(self, field: Array) -> tuple[Array, Later[Bound]]:
        """Field extended by one node beyond each face, and the bound with its cell."""
        wider, kernels = self.volume.wider(field), self.similarity.kernels
        place = self.node_spacing, self.options.constraint, kernels, self.similarity.threads
        return wider, smallest_determinant_later(field, *place, wider)

    def _is_finite(self, field: Array) -> Later[bool]:
        if isinstance(field, np.ndarray):
            return known(bool(np.isfinite(field).all()))
        self._length = field, largest_length(field)
        return self._length[1].then(np.isfinite)

    def _along(self, direction: Array) -> _Along:
        """S d and its largest component, computed once for all trials along one direction."""
        if self._last is None or self._last.direction is not direction:
            field = self.smoothness.to_field(direction)
            unit = np.abs(field).max() / self.smallest_voxel
            self._last = _Along(direction, field, unit, number(unit))
        return self._last


class _Along(NamedTuple):
    """A search direction d."""

    direction: Array
    field: Array  # S d
    unit_there: Any  # largest displacement of a unit step (voxels of the level), on the device of d
    unit: Later[float]  # the same on the host


def _worthless(field: Array, total: float, bound: float = 1.0) -> Evaluation:
    """Evaluation of an inadmissible field, with NaN for all terms."""
    return Evaluation(Energy(np.nan, np.nan, total), partial(np.full_like, field, np.nan), bound)
