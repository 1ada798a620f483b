r"""Rigidity term: the penalty on deformation within masks of rigid structures.

.. math:: K(u) = \frac1n \sum_i w_i\,\frac1{|C_i|} \sum_{c \in C_i} |G_c|^2, \qquad G = \tfrac12 (F^T F - 1), \quad
          F = 1 + \nabla u,

with G the Green-Lagrange strain at the corners c of the cells that meet at node i of n, and :math:`\nabla u` the differences
along the edges of the cell.  G vanishes exactly for translations and rotations of any size: up to the affine map, a
structure in the mask moves as a rigid body.  (:math:`|G|^2` is the Saint Venant-Kirchhoff energy, the
simplest elastic energy that is invariant under rotations; for a rigidity penalty in registration see Staring, Klein and
Pluim, Medical Physics 34, 2007, doi 10.1118/1.2776236.)

The weight of a node is the fraction of its cell inside a mask, :math:`w_i = 1 - (1 - f_i)(1 - m(\varphi(x_i)))`, with
:math:`f_i` the fraction inside the mask of the fixed image, and m the mask of the moving image, warped by the map and
interpolated linearly between means over cells of half the node spacing.  The derivative with respect to u has two parts:

.. math:: \frac{\partial |G|^2}{\partial F} = 2 F G, \qquad
          \frac{\partial w_i}{\partial u_i} = (1 - f_i)\,\nabla m .
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from ..backends.arrays import Array, Warped, Workspace
from ..backends.namespace import beside, on_host
from ..geometry.displacement import axis_table
from ..geometry.grid import Grid
from ..images.level_image import LevelImage, coarsened_to
from ..similarity.volumes import (
    as_volume_field,
    from_volume_field,
    index_affine,
    moving_image,
    voxel_map,
)
from .strain import Box, logarithmic_stretches, squared_strain, squared_strain_gradient


@dataclass(frozen=True)
class RigidMasks:
    """Masks of rigid structures in the two images.

    Parameters
    ----------
    fixed, moving : LevelImage or None
        Masks whose ``data`` are fractions or weights in [0, 1].
    """

    fixed: LevelImage | None
    moving: LevelImage | None


class RigidityTerm:
    """The rigidity term on one displacement grid.

    Parameters
    ----------
    masks : RigidMasks
    grid : Grid
        Grid of the fixed image.
    affine : (d + 1, d + 1) array
        Fixed world -> moving world (mm).
    nodes : tuple of int
        (*m), nodes of the displacement grid.
    constraint : {"zero-mean", "zero-boundary"}
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of the warped moving mask.
    """

    def __init__(
        self, masks: RigidMasks, grid: Grid, affine: Array, nodes: tuple[int, ...], constraint: str,
        kernels: ModuleType, threads: int, dtype: Any = np.float32,
    ) -> None:  # fmt: skip
        self.nodes, self.kernels, self.threads, self.dtype = (
            nodes,
            kernels,
            threads,
            np.dtype(dtype),
        )
        self.spacing = grid.extent / np.array(nodes)
        self.fixed = np.zeros(nodes)
        if masks.fixed is not None:
            share = coarsened_to(masks.fixed.data, nodes, kernels, threads)
            self.fixed = np.clip(share.astype(np.float64), 0, 1)
        self.moving: Any = None
        if masks.moving is not None:
            self._place(masks.moving, grid.resized(nodes), affine, constraint)

    def _place(self, mask: LevelImage, lattice: Grid, affine: Array, constraint: str) -> None:
        """Coarsen the moving mask to cells of half the node spacing, and prepare its warping."""
        shrunk = float(np.linalg.svd(affine[:-1, :-1], compute_uv=False)[-1])
        length = 0.5 * shrunk * float(self.spacing.min())
        shape = tuple(
            int(min(n, max(2, round(n * size / length))))
            for n, size in zip(mask.grid.shape, mask.grid.spacing, strict=True)
        )
        data = coarsened_to(mask.data, shape, self.kernels, self.threads).astype(self.dtype)
        there = mask.grid.resized(shape)
        self.moving = self.kernels.resident(moving_image(data, None, (0.0, 1.0), False))
        by_voxel = index_affine(lattice, there, affine)
        self.by_mm = by_voxel[:, :-1] / self.spacing
        tables = [axis_table(np.arange(n), n, n, constraint) for n in self.nodes]
        self.where = voxel_map(tables, by_voxel, self.by_mm, self.dtype)
        size = (1,) * (3 - len(self.nodes)) + tuple(self.nodes)
        self.warped = self.kernels.resident(Warped.empty(size, self.dtype))
        self.workspace = Workspace()

    def value(self, field: Array) -> float:
        r"""K, dimensionless, of u at the nodes, (d, \*m) mm."""
        weight = self.weights(field)
        box = _box(weight)
        if box is None:
            return 0.0
        found = squared_strain(field[(slice(None), *box)], self.spacing)
        return float((weight[box] * found).sum()) / self.fixed.size

    def gradient(self, field: Array) -> Array:
        r"""dK/du at the nodes, (d, \*m) per mm."""
        weight = self.weights(field)
        found, box = np.zeros_like(field), _box(weight)
        if box is None:
            return found
        cut = (slice(None), *box)
        found[cut] = squared_strain_gradient(field[cut], self.spacing, weight[box])
        if self.moving is not None:
            found += self._through_weights(field, box)
        return found / self.fixed.size

    def weights(self, field: Array) -> Array:
        r"""Weights w at the nodes, (\*m), on the device of u."""
        fixed = _beside(self.fixed, field)
        if self.moving is None:
            return fixed
        self._warp(field)
        there = _beside(self.warped.value * self.warped.weight, field).reshape(self.nodes)
        return 1 - (1 - fixed) * (1 - np.clip(there.astype(np.float64), 0, 1))

    def _warp(self, field: Array) -> None:
        """Warp the moving mask to all nodes, with weights also in rows entirely inside the field of view."""
        nodes = as_volume_field(field).astype(self.dtype)
        self.kernels.warp(self.moving, self.where, nodes, self.warped, self.threads)
        full = self.warped.full.reshape(*self.warped.weight.shape[:2], 1)
        np.copyto(self.warped.weight, 1, where=full.astype(bool))

    def _through_weights(self, field: Array, box: Box) -> Array:
        """n dK/du through the warped moving mask; :meth:`weights` must have been called for this field."""
        slope = np.zeros_like(field[0])
        slope[box] = squared_strain(field[(slice(None), *box)], self.spacing)
        slope = _beside(slope * (1 - _beside(self.fixed, field)), self.warped.value)
        slope = slope.reshape(self.warped.value.shape)
        self.warped.slope[...] = slope * self.warped.weight
        self.warped.weight_slope[...] = slope * self.warped.value
        nodes = as_volume_field(field).astype(self.dtype)
        place = self.moving, self.where, nodes, self.warped, self.workspace, self.threads
        pushed = _beside(self.kernels.backproject(*place), field).astype(np.float64)
        force = from_volume_field(pushed, len(self.nodes))
        return np.einsum("de,d...->e...", _beside(self.by_mm, force), force)

    def stretches(self, field: Array) -> tuple[Array, Array]:
        r"""Logarithms of the principal stretches within the masks, (d, N), and weights, (N,), on the host; u is (d, \*m) mm."""
        weight = on_host(self.weights(field))
        return logarithmic_stretches(on_host(field), self.spacing, weight)


def _beside(array: Array, other: Array) -> Array:
    """Array on the device of another, or on the host like it."""
    return on_host(array) if isinstance(other, np.ndarray) else beside(array, other)


def _box(weight: Array) -> Box | None:
    """Bounding box of the nodes of positive weight and their neighbours, or None; all nodes for arrays on a device."""
    if not isinstance(weight, np.ndarray):
        return tuple(slice(0, n) for n in weight.shape)
    found = []
    for axis, n in enumerate(weight.shape):
        others = tuple(other for other in range(weight.ndim) if other != axis)
        where = np.flatnonzero(weight.any(axis=others))
        if not len(where):
            return None
        found.append(slice(max(int(where[0]) - 1, 0), min(int(where[-1]) + 2, n)))
    return tuple(found)
