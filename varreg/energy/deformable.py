"""The deformable stage at one level: the energy in coordinates z, kept free of folds."""

from __future__ import annotations

from functools import cached_property, partial

import numpy as np

from ..backends.arrays import Array
from ..backends.namespace import beside
from ..geometry.displacement import axis_table
from ..geometry.folding import smallest_determinant
from ..optimise.history import Energy
from ..optimise.objective import Evaluation
from ..options.options import Options
from ..similarity.similarity import Similarity, SimilarityValue
from ..similarity.volumes import as_volume_field, from_volume_field, index_affine, voxel_map
from .preconditioner import Preconditioner
from .smoothness import Smoothness
from .volume import VolumeTerm

#: Standard deviation, in nodes, of the mask around a cell that a step would fold.
MASK_RADIUS = 3.0
State = tuple[Array, Array]  # coordinates z, and the field at the nodes (d, *m) in mm


class DeformableObjective:
    """E(z) = -lambda MI(S z) + |z|^2 / 2 + nu V(S z) of one level: an :class:`varreg.optimise.objective.Objective`.

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
    """

    def __init__(
        self, similarity: Similarity, affine: Array, smoothness: Smoothness, options: Options,
        long_waves_first: bool = False,
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
        self.folded_cell: tuple[int, ...] | None = None
        self._last: tuple[Array, Array] | None = None  # direction and S times it

    def evaluate(self, state: State) -> Evaluation:
        """Energy at (z, u); infinite if some cell folds, which is then remembered."""
        field = state[1]
        if not np.isfinite(field).all():
            return Evaluation(Energy(np.nan, np.nan, np.nan), partial(np.full_like, field, np.nan))
        bound, cell = self._fold(field)
        if bound < self.options.smallest_determinant:
            self.folded_cell = cell
            energy = Energy(np.nan, np.nan, np.inf)
            return Evaluation(energy, partial(np.full_like, field, np.nan), bound)
        return self._evaluated(state, bound)

    def evaluate_folded(self, state: State) -> Evaluation:
        """Energy at (z, u), also where it folds: what the descent never sees."""
        return self._evaluated(state, self.bound(state[1]))

    def _evaluated(self, state: State, bound: float) -> Evaluation:
        z, field = state
        found = self.similarity.evaluate(self.where, as_volume_field(field))
        smoothness = self.smoothness.value(z)
        total = -self.options.similarity_weight * found.value
        total += self.smoothness.weight * smoothness
        volume = self.volume.value(field) if self.volume_weight > 0 else 0.0
        total += self.volume_weight * volume
        energy = Energy(found.value, smoothness, total, volume)
        return Evaluation(energy, partial(self._gradient, z, field, found), bound, found.in_view)

    def _gradient(self, z: Array, field: Array, found: SimilarityValue) -> Array:
        """dE/dz at a state."""
        pushed = found.gradient().astype(np.float64)
        force = np.einsum("de,d...->e...", beside(self.by_mm, pushed), pushed)
        force *= -self.options.similarity_weight
        force = from_volume_field(force, self.dimension)
        if self.volume_weight > 0:
            force = force + self.volume_weight * self.volume.gradient(field)
        return self.smoothness.pull_gradient(force) + z

    def move(self, state: State, direction: Array, step: float) -> State:
        """(z, u) moved along a direction in z."""
        z, field = state
        return z + step * direction, field + step * self._field(direction)

    def largest_step(self, direction: Array) -> float:
        """Largest displacement of a unit step, in voxels of the level."""
        field = self._field(direction)
        return float(np.abs(field).max()) / self.smallest_voxel

    def largest_displacement(self, state: State) -> float:
        """Largest displacement, in mm."""
        return float(np.sqrt(np.square(state[1]).sum(0).max()))

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
        chi = beside(self._fold_mask(self.folded_cell), direction)
        return self.smoothness.to_coordinates(self._field(direction) * chi)

    def bound(self, field: Array) -> float:
        """Lower bound of det(id + grad u) over every point."""
        return self._fold(field)[0]

    def _fold(self, field: Array) -> tuple[float, tuple[int, ...]]:
        """The bound, and the cell where it is found."""
        kernels, threads = self.similarity.kernels, self.similarity.threads
        constraint = self.options.constraint
        return smallest_determinant(field, self.node_spacing, constraint, kernels, threads)

    def _fold_mask(self, cell: tuple[int, ...]) -> Array:
        """chi: 0 in the middle of the cell, 1 far from it."""
        distance = 0.0
        for axis, position in enumerate(cell):
            along = [1] * self.dimension
            along[axis] = self.smoothness.shape[axis]
            offset = np.arange(self.smoothness.shape[axis]) - position - 0.5
            distance = distance + np.square(offset).reshape(along)
        return 1 - np.exp(-0.5 * distance / MASK_RADIUS**2)

    def _field(self, direction: Array) -> Array:
        """S d, computed once for all trials along one direction."""
        if self._last is None or self._last[0] is not direction:
            self._last = direction, self.smoothness.to_field(direction)
        return self._last[1]


def unfold(objective: DeformableObjective, z: Array) -> State:
    """The state (z, u) of coordinates z, with just enough of its high frequencies damped that no
    cell folds: a field carried to a finer grid may fold between its old nodes.
    """
    smoothness, least = objective.smoothness, objective.options.smallest_determinant
    symbol = np.square(smoothness.scale)
    symbol = symbol / symbol.max()
    damping = 0.0
    while True:
        state = z * np.exp(-damping * symbol)
        field = smoothness.to_field(state)
        if objective.bound(field) >= least:
            return state, field
        damping = 2 * damping if damping else 0.25
        if damping > 1e12:  # even the smoothest modes fold: shrink the whole field
            z, damping = 0.5 * z, 0.0
