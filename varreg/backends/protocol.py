"""Interface of a backend: a module with these functions.

All images are volumes: a two-dimensional image is one plane.  Results are bitwise independent of the
number of `threads` (int).  `workspace` (Workspace) holds arrays reused between calls; "valid until the
next call" refers to the next call with the same workspace.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from numpy.typing import NDArray

from .arrays import Array, Moving, VoxelMap, Warped, Workspace
from .information_protocol import InformationFunctions
from .later import Later


class Backend(InformationFunctions, Protocol):
    """Functions of every backend, including those on joint histograms.

    Implementations for the CPU are ``varreg.backends.numba.backend``, compiled with Numba, and
    ``varreg.backends.numpy.backend``, the NumPy reference.
    """

    NAME: str

    def resident(self, arrays: Any) -> Any:
        """Transfer arrays to the memory and layout of this backend.

        Parameters
        ----------
        arrays : Moving, HistogramRows, Warped or array
            They must not be written to afterwards, except a Warped.

        Returns
        -------
        object
            Replacement of the arrays in calls of this backend; on the CPU the arrays themselves.
        """

    def later(self, function: Callable[..., Any], *arguments: Any) -> Later[Any]:
        """Asynchronous result of one of these functions.

        On a device, pending results are transferred together, with a single wait, when the first of them is needed.
        They are computed in the order of the requests.  On the CPU each result is computed immediately.
        """

    def warp(
        self, moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int
    ) -> None:
        """Warp the moving image: value and weight at every fixed voxel.

        Writes ``value``, ``full`` and, in rows that are not full, ``weight``.  Values beyond the
        outermost voxel centres are continued constantly, while the weight decreases from 1 to 0 over
        one voxel, axis by axis, and is multiplied by the interpolated mask.

        Parameters
        ----------
        moving : Moving
        where : VoxelMap
        nodes : (3, a, b, c) array
            u at the nodes, interpreted by `where`.
        warped : Warped
            Output.
        """

    def backproject(
        self, moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, workspace: Workspace,
        threads: int,
    ) -> Array:  # fmt: skip
        """Transposed derivative of :meth:`warp`, without the matrix V of the map.

        Parameters
        ----------
        moving, where, nodes
            As for :meth:`warp`.
        warped : Warped
            ``slope`` and, in rows that are not full, ``weight_slope`` hold dE/dvalue and dE/dweight;
            ``full`` was written by :meth:`warp`.

        Returns
        -------
        (3, a, b, c) array
            dE/dy backprojected to the nodes, y in moving voxels; dE/du is V^T times this array.  Valid until
            the next call.
        """

    def determinant_bound(
        self, field: Array, spacing: Array, threads: int
    ) -> tuple[float, tuple[int, ...]]:
        """Lower bound of det(id + grad u) over all cells between nodes.

        Parameters
        ----------
        field : (d, *m) array
            u at the nodes, d = 2 or 3, in the unit of `spacing`.
        spacing : (d,) array
            Node spacing.

        Returns
        -------
        bound : float
            Exact minimum in 2D; the smallest Bernstein coefficient in 3D.
        cell : tuple of int
            First node of the cell that attains the bound.
        """

    def volume(self, field: Array, spacing: Array, threads: int) -> float:
        """Volume term: mean over the corners of all cells of (J^2 + J^-2 - 2) / 8, J = det(id + grad u).

        Below ``varreg.backends.volume.SMALLEST`` the function of J is replaced by its second-order Taylor polynomial.

        Parameters
        ----------
        field : (d, *m) array
            u at the nodes, in the unit of `spacing`.
        spacing : (d,) array
            Node spacing.
        """

    def volume_gradient(self, field: Array, spacing: Array, threads: int) -> Array:
        """Derivative of :meth:`volume` with respect to the field, (d, *m)."""

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
            Each row sums to 1.

        Returns
        -------
        (*S) array, m along `axis`
        """

    def read_linear(self, image: Array, points: Array, fill: float, out: Array) -> None:
        """Linear interpolation of an image at arbitrary points, for warping with a given map.

        Parameters
        ----------
        image : (p, q, r) array
            The image; p = 1 for a plane.
        points : (d, n) array
            Voxel coordinates; for d = 2 of the last two axes.
        fill : float
            Value outside the field of view [-1/2, n - 1/2]; inside, the image is continued constantly
            beyond the outermost voxel centres.
        out : (n,) array
            Output.
        """
