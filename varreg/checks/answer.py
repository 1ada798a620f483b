"""An answer as the checks see it: the map, and what has been measured of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..backends.arrays import Array
from ..geometry.displacement import expand
from ..images.level_image import LevelImage
from ..optimise.history import Energy, HeadMotion
from ..stages.levels import affine_energy
from ..stages.problem import Problem
from .head import Head, head_of


@dataclass(frozen=True)
class Answer:
    r"""A map between the images of a problem.

    Attributes
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
        Fixed world -> moving world.
    nodes : (d, \*m) array or None
        u, mm along the axes of the fixed array; None if nothing deforms.
    constraint : str
        Of the nodes.
    energy, identity : Energy
        Of the map, and where the headers place the images, at the finest level.
    in_view : float
        Share of the fixed voxels that count which the map takes to voxels that count.
    smallest_determinant : float
        Bound on det(id + grad u).
    still : Energy, optional
        Of the affine part alone at the finest level, if it is known.
    """

    problem: Problem
    affine: Array
    nodes: Array | None
    constraint: str
    energy: Energy
    identity: Energy
    in_view: float
    smallest_determinant: float
    still: Energy | None = None

    @property
    def level(self) -> LevelImage:
        """The fixed image at the coarsest level of the deformable stage, where averages are taken."""
        return self.problem.level(self.problem.factors[0])[0]

    @cached_property
    def head(self) -> Head:
        return head_of(self.level)

    @cached_property
    def u(self) -> Array:
        """u at the voxels of the head, (d, n) mm."""
        if self.nodes is None:
            return np.zeros((self.level.grid.dim, int(self.head.shown.sum())))
        return self._at_head(self.nodes)

    def _at_head(self, nodes: Array) -> Array:
        return np.asarray(expand(nodes, self.level.grid.shape, self.constraint)[:, self.head.shown])

    def motion(self, recent: Array | None) -> HeadMotion | None:
        r"""How far u moves the head, and what further steps would do; None if nothing deforms.

        Parameters
        ----------
        recent : (d, \*m) array or None
            The last steps together, at the nodes.
        """
        if self.nodes is None:
            return None
        length = np.sqrt(np.square(self.u).sum(0))
        further = None
        if recent is not None:
            further = float(np.sqrt(np.square(self._at_head(recent)).sum(0)).mean())
        return HeadMotion(float(length.mean()), float(length.max()), further)

    @cached_property
    def points(self) -> Array:
        """The voxels of the head, (d, n) world."""
        return self.level.grid.voxel_to_world(np.argwhere(self.head.shown).T.astype(np.float64))

    @cached_property
    def displacement(self) -> Array:
        """A(x + u(x)) - x at the voxels of the head, (d, n) mm, world."""
        y = self.points + self.level.grid.direction @ self.u
        return self.affine[:-1, :-1] @ y + self.affine[:-1, -1:] - self.points

    @cached_property
    def affine_alone(self) -> Energy:
        """The energy of the affine part at the finest level."""
        if self.nodes is None:
            return self.energy
        if self.still is not None:
            return self.still
        return affine_energy(self.problem, self.affine, deformable=True)
