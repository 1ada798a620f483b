"""The deformable stage at one level: the energy in coordinates z, kept free of folds."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..geometry.displacement import axis_table
from ..geometry.folding import smallest_determinant
from ..optimise.objective import Trial
from ..options.options import Options
from ..similarity.mutual_information import (
    as_volume_field,
    from_volume_field,
    index_affine,
    voxel_map,
)
from ..similarity.protocol import Similarity
from .smoothness import Smoothness

#: Radius, in nodes, of the region that is held where a step would fold.
HOLD_RADIUS = 3.0


class DeformableObjective:
    """E(z) = -lambda MI(S z) + |z|^2 / 2 of one level: an Objective for ``descent.minimise``.

    A state is a pair (z, u): coordinates and the field at the nodes (d, *m), mm.

    Parameters
    ----------
    matching : Similarity
    affine : (d + 1, d + 1) array
        Fixed world -> moving world.
    smoothness : Smoothness
        Of the displacement grid.
    options : Options
    """

    def __init__(
        self, matching: Similarity, affine: Array, smoothness: Smoothness, options: Options
    ) -> None:
        self.matching, self.smoothness, self.options = matching, smoothness, options
        fixed = matching.fixed_grid
        self.dimension = fixed.dim
        self.voxel, self.smallest_voxel = fixed.spacing, float(fixed.spacing.min())
        self.node_spacing = fixed.extent / np.array(smoothness.shape)
        linear = index_affine(fixed, matching.moving_grid, affine)
        spread = linear[:, :-1] / self.voxel
        tables = [
            axis_table(np.arange(n), n, m, options.constraint)
            for n, m in zip(fixed.shape, smoothness.shape, strict=True)
        ]
        self.where = voxel_map(tables, linear, spread, matching.dtype)
        self.spread = self.where.spread.astype(np.float64)
        self.folded_cell: tuple[int, ...] | None = None
        self.state: tuple[Array, Array] | None = None  # evaluated last
        self._last: tuple[Array, Array] | None = None  # direction and S times it

    def evaluate(self, state: tuple[Array, Array]) -> Trial:
        """Energy at (z, u); infinite if some cell folds, which is then remembered."""
        if state is not self.state:
            self.state, self.trial = state, self._evaluated(*state)
        return self.trial

    def _evaluated(self, z: Array, field: Array) -> Trial:
        if not np.isfinite(field).all():
            return Trial(np.nan, np.nan, np.nan)
        bound, cell = self._fold(field)
        if bound < self.options.smallest_determinant:
            self.folded_cell = cell
            return Trial(np.inf, np.nan, np.nan, bound)
        return self._measured(z, field, bound)

    def evaluate_folded(self, state: tuple[Array, Array]) -> Trial:
        """Energy at (z, u), also where it folds: what the descent never sees."""
        self.state, self.trial = state, self._measured(*state, self.bound(state[1]))
        return self.trial

    def _measured(self, z: Array, field: Array, bound: float) -> Trial:
        similarity = self.matching.value(self.where, as_volume_field(field))
        smoothness = self.smoothness.value(z)
        energy = -self.options.similarity_weight * similarity
        energy += self.smoothness.weight * smoothness
        return Trial(energy, similarity, smoothness, bound)

    def gradient(self) -> Array:
        """dE/dz at the state evaluated last."""
        if self.state is None:
            raise RuntimeError("DeformableObjective.gradient needs a value first")
        pushed = self.matching.gradient().astype(np.float64)
        force = np.einsum("de,d...->e...", self.spread, pushed)
        force *= -self.options.similarity_weight
        return (
            self.smoothness.pull_gradient(from_volume_field(force, self.dimension)) + self.state[0]
        )

    def move(self, state: tuple[Array, Array], direction: Array, step: float) -> tuple:
        """(z, u) moved along a direction in z."""
        z, field = state
        return z + step * direction, field + step * self._field(direction)

    def reach(self, direction: Array) -> float:
        """Largest displacement of a unit step, in voxels of the level."""
        field = self._field(direction)
        return float(np.abs(field).max()) / self.smallest_voxel

    def size(self, state: tuple[Array, Array]) -> float:
        """Largest displacement, in mm."""
        return float(np.sqrt(np.square(state[1]).sum(0).max()))

    def hold(self, gradient: Array) -> Array | None:
        """-Q Q^T g with Q = S^-1 chi S and chi = 0 around the cell that folded: others go on.

        Q Q^T is positive semidefinite, so this descends; without it one tight cell would stop all.
        """
        if self.folded_cell is None:
            return None
        chi = self._window(self.folded_cell)
        scale, inverse = self.smoothness.scale, self.smoothness.inverse_scale
        field = self.smoothness.backward(gradient * scale) * chi
        held = self.smoothness.forward(field) * inverse
        field = self.smoothness.backward(held * inverse) * chi
        return -self.smoothness.forward(field) * scale

    def bound(self, field: Array) -> float:
        """Lower bound of det(id + grad u) over every point."""
        return self._fold(field)[0]

    def _fold(self, field: Array) -> tuple[float, tuple[int, ...]]:
        """The bound, and the cell where it is found."""
        kernels, threads = self.matching.kernels, self.matching.threads
        constraint = self.options.constraint
        return smallest_determinant(field, self.node_spacing, constraint, kernels, threads)

    def _window(self, cell: tuple[int, ...]) -> Array:
        distance = 0.0
        for axis, position in enumerate(cell):
            along = [1] * self.dimension
            along[axis] = self.smoothness.shape[axis]
            offset = np.arange(self.smoothness.shape[axis]) - position - 0.5
            distance = distance + np.square(offset).reshape(along)
        return 1 - np.exp(-0.5 * distance / HOLD_RADIUS**2)

    def _field(self, direction: Array) -> Array:
        """S d, computed once for all trials along one direction."""
        if self._last is None or self._last[0] is not direction:
            self._last = direction, self.smoothness.to_field(direction)
        return self._last[1]


def unfold(objective: DeformableObjective, z: Array) -> tuple[Array, Array]:
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
