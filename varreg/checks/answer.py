"""An answer as the checks see it: the map, and what has been measured of it."""

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
        Of the map at the finest level.
    in_view : float
        Share of the fixed voxels inside the mask which the map takes to voxels inside the mask.
    smallest_determinant : float
        Bound on det(id + grad u).
    still : Energy, optional
        Of the affine part alone at the finest level, if it is known.
    """

    energy: Energy
    in_view: float
    smallest_determinant: float
    still: Energy | None = None

    @cached_property
    def identity(self) -> Energy:
        """The energy where the headers place the images, at the finest level."""
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
            further = float(np.sqrt(np.square(self.at_head(recent)).sum(0)).mean())
        return HeadMotion(float(length.mean()), float(length.max()), further)
