"""The head under a map: its voxels, their displacement, and their mapped positions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..backends.arrays import Array
from ..geometry.displacement import expand
from ..geometry.matrices import transform_points
from ..images.level_image import LevelImage
from ..stages.problem import Problem
from .head import Head, head_of


@dataclass(frozen=True)
class MovedHead:
    r"""The head of the fixed image of a problem, and a map.

    Attributes
    ----------
    problem : Problem
    affine : (d + 1, d + 1) array
        Fixed world -> moving world.
    nodes : (d, \*m) array or None
        u, mm along the axes of the fixed array; None without deformation.
    """

    problem: Problem
    affine: Array
    nodes: Array | None

    @property
    def level(self) -> LevelImage:
        """The fixed image at the coarsest level of the deformable stage, used for averages."""
        return self.problem.level(self.problem.factors[0])[0]

    @cached_property
    def head(self) -> Head:
        """Its voxels, centre and size."""
        return head_of(self.level)

    @cached_property
    def points(self) -> Array:
        """The voxels of the head, (d, n), fixed world (mm)."""
        return self.level.grid.voxel_to_world(np.argwhere(self.head.shown).T.astype(np.float64))

    @cached_property
    def u(self) -> Array:
        """u at the voxels of the head, (d, n) mm."""
        if self.nodes is None:
            return np.zeros((self.level.grid.dim, int(self.head.shown.sum())))
        return self.at_head(self.nodes)

    def at_head(self, nodes: Array) -> Array:
        """A displacement given at the nodes, interpolated at the voxels of the head, (d, n) mm."""
        whole = expand(nodes, self.level.grid.shape, self.problem.options.constraint)
        return np.asarray(whole[:, self.head.shown])

    @cached_property
    def there(self) -> Array:
        """A(x + u(x)) at the voxels of the head, (d, n), moving world (mm)."""
        return transform_points(self.affine, self.points + self.level.grid.direction @ self.u)
