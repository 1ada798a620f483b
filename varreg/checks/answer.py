"""The registration result as input of the checks: the map, and its measurements."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..backends.arrays import Array
from ..optimise.history import Energy, HeadMotion
from ..stages.levels import affine_energy, starting_energy
from .moved_head import MovedHead


@dataclass(frozen=True)
class Answer(MovedHead):
    r"""A map between the images of a problem.

    Attributes
    ----------
    energy : Energy
        Energy of the map at the finest level.
    in_view : float
        Share of the fixed voxels inside the mask that map to voxels inside the moving mask.
    smallest_determinant : float
        Lower bound on det(id + grad u).
    still : Energy, optional
        Energy of the affine part alone at the finest level, if already computed.
    """

    energy: Energy
    in_view: float
    smallest_determinant: float
    still: Energy | None = None

    @cached_property
    def identity(self) -> Energy:
        """The energy with the header geometry, at the finest level."""
        return starting_energy(self.problem, self.nodes is not None)

    @cached_property
    def affine_alone(self) -> Energy:
        """The energy of the affine part at the finest level."""
        if self.nodes is None:
            return self.energy
        if self.still is not None:
            return self.still
        return affine_energy(self.problem, self.affine, deformable=True)

    def motion(self, recent: Array | None) -> HeadMotion | None:
        r"""Motion of the head by u, and extrapolated motion by further steps; None without deformation.

        Parameters
        ----------
        recent : (d, \*m) array or None
            Sum of the last steps, at the nodes.
        """
        if self.nodes is None:
            return None
        length = np.sqrt(np.square(self.u).sum(0))
        further = None
        if recent is not None:
            further = float(np.sqrt(np.square(self.at_head(recent)).sum(0)).mean())
        return HeadMotion(float(length.mean()), float(length.max()), further)
