"""What a backend is: a module with these functions.

All arrays are volumes: a two-dimensional image is one plane.  A function gives the same bits for
any number of `threads`.
"""

from __future__ import annotations

from typing import Protocol

from numpy.typing import NDArray

from .arrays import Array, Moving, VoxelMap, Warped, Windows


class Backend(Protocol):
    """The functions that every backend has.

    ``varreg.kernels.cpu`` compiles them with Numba; ``varreg.kernels.reference`` is NumPy.
    """

    NAME: str

    def warp(
        self, moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int
    ) -> None:
        """Value and weight of the moving image at every fixed voxel.

        Writes ``value``, ``full`` and, in rows that are not full, ``share``.  A value beyond the
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
        threads : int
        """

    def push(
        self, moving: Moving, where: VoxelMap, nodes: Array, warped: Warped, threads: int
    ) -> Array:
        """The transposed derivative of :meth:`warp`, short of the matrix V of the map.

        Reads ``slope`` and, in rows that are not full, ``share_slope``, which hold dE/dvalue and
        dE/dshare; needs ``full`` as :meth:`warp` left it.

        Returns
        -------
        (3, a, b, c) array
            Valid until the next call: dE/dy gathered at the nodes, y being moving voxels: dE/du is V^T times this.
        """

    def joint_histogram(
        self, fixed: NDArray, warped: Warped, bins: int, windows: Windows | None, threads: int,
        regions: int = 1,
    ) -> Array:  # fmt: skip
        """Sum of weights, fixed label x moving bin.

        Parameters
        ----------
        fixed : (*S) array
            Labels region * B + bin (whole numbers), or values in bins (float) if there are `windows`; a negative one
            takes the voxel out.
        warped : Warped
        bins : int
        windows : Windows or None
            None spreads the moving value by a quadratic B-spline; else both values are spread by
            Gaussian windows normalised at each voxel.
        threads : int
        regions : int
            R, how many regions the labels distinguish.

        Returns
        -------
        (R B, B) float64 array
        """

    def histogram_slope(
        self, fixed: NDArray, warped: Warped, table: Array, windows: Windows | None, threads: int
    ) -> None:
        """The transposed derivative of :meth:`joint_histogram`, applied to `table`, (R B, B).

        Writes ``slope`` (0 for voxels taken out) and, in rows that are not full, ``share_slope``.
        """

    def smooth_table(self, table: Array, kernel: Array, threads: int = 1) -> Array:
        """K table K^T of every region, K[b, c] = kernel[c, b - c + r] banded, kernel (B, 2 r + 1)."""

    def smooth_table_transposed(self, table: Array, kernel: Array, threads: int = 1) -> Array:
        """K^T table K of every region."""

    def determinant_bound(
        self, field: Array, spacing: Array, threads: int
    ) -> tuple[float, tuple[int, ...]]:
        """Lower bound of det(id + grad u) over every point of every cell between nodes.

        Parameters
        ----------
        field : (d, *m) array
            u at the nodes, d = 2 or 3, in the unit of `spacing`.
        spacing : (d,) array
        threads : int

        Returns
        -------
        bound : float
            Exact in 2D; the smallest Bernstein coefficient in 3D.
        cell : tuple of int
            First node of the cell where it is found.
        """

    def average_axis(
        self, image: Array, axis: int, start: NDArray, share: Array, threads: int
    ) -> Array:
        """out[j] = sum_t share[j, t] image[start[j] + t] along one axis; rows of share sum to 1."""
