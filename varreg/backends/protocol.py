"""What a backend is: a module with these functions.

All arrays are volumes: a two-dimensional image is one plane.  A function gives the same bits for
any number of `threads` (int).  `workspace` (Workspace) holds what a backend keeps between calls; what is
valid until the next call is until the next one with the same workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from .arrays import Array, Moving, VoxelMap, Warped, Workspace
from .information_protocol import InformationFunctions
from .later import Later


class Backend(InformationFunctions, Protocol):
    """The functions that every backend has, those on joint histograms included.

    ``varreg.backends.numba.backend`` compiles them with Numba; ``varreg.backends.numpy.backend`` is NumPy.
    """

    NAME: str

    def resident(self, arrays: Any) -> Any:
        """What this backend is given in every call: where it computes, in a layout of its own.

        Parameters
        ----------
        arrays : Moving, HistogramRows, Warped or array
            Not to be written to afterwards, but for a Warped.

        Returns
        -------
        object
            To be handed to this backend in their place; on the CPU they themselves.
        """

    def later(self, function: Callable[..., Any], *arguments: Any) -> Later[Any]:
        """The result of one of these functions, which may still be on its way.

        On a device such results are sent for together, and waited for once, as soon as one of them is wanted.
        They are computed in the order in which they are asked for.  On the CPU each is computed at once.
        """

    def warp(
        self, moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int
    ) -> None:
        """Value and weight of the moving image at every fixed voxel.

        Writes ``value``, ``full`` and, in rows that are not full, ``weight``.  A value beyond the
        outermost voxel centres is continued constantly, while its weight falls from 1 to 0 over
        one voxel, axis by axis, and is multiplied by the interpolated mask.

        Parameters
        ----------
        moving : Moving
        where : VoxelMap
        nodes : (3, a, b, c) array
            u at the nodes; what it means is up to `where`.
        warped : Warped
            Written to.
        """

    def backproject(
        self, moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, workspace: Workspace,
        threads: int,
    ) -> Array:  # fmt: skip
        """The transposed derivative of :meth:`warp`, short of the matrix V of the map.

        Parameters
        ----------
        moving, where, nodes
            As for :meth:`warp`.
        warped : Warped
            ``slope`` and, in rows that are not full, ``weight_slope`` hold dE/dvalue and dE/dweight;
            ``full`` is as :meth:`warp` left it.

        Returns
        -------
        (3, a, b, c) array
            Valid until the next call: dE/dy gathered at the nodes, y being moving voxels: dE/du is
            V^T times this.
        """

    def determinant_bound(
        self, field: Array, spacing: Array, threads: int
    ) -> tuple[float, tuple[int, ...]]:
        """Lower bound of det(id + grad u) over every point of every cell between nodes.

        Parameters
        ----------
        field : (d, *m) array
            u at the nodes, d = 2 or 3, in the unit of `spacing`.
        spacing : (d,) array

        Returns
        -------
        bound : float
            Exact in 2D; the smallest Bernstein coefficient in 3D.
        cell : tuple of int
            First node of the cell where it is found.
        """

    def volume(self, field: Array, spacing: Array, threads: int) -> float:
        """The mean over the corners of all cells of (J^2 + J^-2 - 2) / 8, J = det(id + grad u).

        Below ``varreg.backends.volume.SMALLEST`` the function of J is continued by its parabola.

        Parameters
        ----------
        field : (d, *m) array
            u at the nodes, in the unit of `spacing`.
        spacing : (d,) array
        """

    def volume_gradient(self, field: Array, spacing: Array, threads: int) -> Array:
        """The derivative of :meth:`volume` by the field, (d, *m)."""

    def average_axis(
        self, image: Array, axis: int, start: NDArray, weights: Array, threads: int
    ) -> Array:
        """Weighted sums of neighbours along one axis: out[j] = sum_t weights[j, t] image[start[j] + t].

        Parameters
        ----------
        image : (*S) array
        axis : int
        start : (m,) int array
            First neighbour of each sum.
        weights : (m, w) array
            Weights; each row sums to 1.

        Returns
        -------
        (*S) array, m along `axis`
        """

    def read_linear(self, image: Array, points: Array, fill: float, out: Array) -> None:
        """An image at any points, linearly interpolated: what warping with a finished map needs.

        Parameters
        ----------
        image : (p, q, r) array
            A plane has p = 1.
        points : (d, n) array
            Voxels; for d = 2 of the last two axes.
        fill : float
            Value beyond [-1/2, n - 1/2]; between the outermost voxel centre and there the image is
            continued constantly.
        out : (n,) array
            Written to.
        """
