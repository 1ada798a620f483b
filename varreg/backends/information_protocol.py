"""Interface of a backend for joint histograms, their mutual information, and the gradients of both.

For arrays, `threads` and `workspace` see :mod:`varreg.backends.protocol`.
"""

from __future__ import annotations

from typing import Protocol

from .arrays import Array, HistogramRows, Moving, VoxelMap, Warped, Windows, Workspace


class InformationFunctions(Protocol):
    """Functions of every backend on joint histograms, by B-splines or by Gaussian windows.

    Below, ``Backend`` is :class:`varreg.backends.protocol.Backend`.
    """

    def joint_histogram(
        self, moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, workspace: Workspace,
        threads: int,
    ) -> Array:  # fmt: skip
        """Joint histogram, fixed row x moving bin, without an intermediate warped image.

        The weight of a voxel is computed as in :meth:`Backend.warp`; a quadratic B-spline distributes it over the
        three moving bins around its value.

        Parameters
        ----------
        moving, where, nodes
            As for :meth:`Backend.warp`.
        fixed : HistogramRows
            Row and table of each fixed voxel.

        Returns
        -------
        (R B, B) float64 array
            One table per region; tables of a group of tiles are stacked.  Valid until the next
            call.
        """

    def backproject_table(
        self, moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, table: Array,
        workspace: Workspace, threads: int,
    ) -> Array:  # fmt: skip
        """Transposed derivative of :meth:`joint_histogram`, without the matrix V of the map.

        Parameters
        ----------
        moving, where, nodes, fixed
            As for :meth:`joint_histogram`.
        table : (R B, B) array
            dE/dhistogram.

        Returns
        -------
        (3, a, b, c) array
            As by :meth:`Backend.backproject`.
        """

    def windowed_histogram(
        self, fixed: Array, warped: Warped, bins: int, shape: Windows, threads: int
    ) -> Array:
        """Joint histogram by Gaussian windows normalised at each voxel, fixed bin x moving bin.

        Parameters
        ----------
        fixed : (*S) array
            Fixed value in bins; voxels of negative value are excluded.
        warped : Warped
            Filled by :meth:`Backend.warp`.
        bins : int
            B, bins per image.
        shape : Windows

        Returns
        -------
        (B, B) float64 array
        """

    def windowed_slope(
        self, fixed: Array, warped: Warped, table: Array, shape: Windows, threads: int
    ) -> None:
        """Transposed derivative of :meth:`windowed_histogram`, applied to `table`, (B, B).

        Writes ``slope`` (0 for excluded voxels) and, in rows that are not full, ``weight_slope``.

        Parameters
        ----------
        fixed, warped, shape
            As for :meth:`windowed_histogram`.
        table : (B, B) array
            dE/dhistogram.
        """

    def mutual_information(
        self, moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, kernel: Array,
        workspace: Workspace, threads: int,
    ) -> tuple[float, float]:  # fmt: skip
        """Sum over regions of their weight times their mutual information.

        Parameters
        ----------
        moving, where, nodes, fixed
            As for :meth:`joint_histogram`.
        kernel : (B, 2 r + 1) array
            Smoothing of each joint histogram, as for :meth:`smooth_table`.

        Returns
        -------
        weight : float
            N, total weight of the voxels in view.
        value : float
            Sum of N_r MI_r in nats; regions without weight contribute 0.
        """

    def information_gradient(
        self, moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, kernel: Array,
        scale: float, workspace: Workspace, threads: int,
    ) -> Array:  # fmt: skip
        """`scale` times the derivative of the second result of :meth:`mutual_information`.

        Parameters
        ----------
        moving, where, nodes, fixed, kernel
            Arguments of the last call of :meth:`mutual_information` with the same workspace.
        scale : float

        Returns
        -------
        (3, a, b, c) array
            Derivative with respect to y at the nodes, as by :meth:`backproject_table`.  Valid until the next call.
        """

    def smooth_table(self, table: Array, kernel: Array) -> Array:
        """Smoothed tables K table K^T of every region.

        Parameters
        ----------
        table : (R B, B) array
        kernel : (B, 2 r + 1) array
            Columns of the banded matrix K: K[b, c] = kernel[c, b - c + r].

        Returns
        -------
        (R B, B) array
        """

    def smooth_table_transposed(self, table: Array, kernel: Array) -> Array:
        """K^T table K of every region: the transpose of :meth:`smooth_table`, with its parameters."""

    def information(self, table: Array, kernel: Array) -> tuple[float, Array]:
        """Sum over regions of their weight times their mutual information, from given tables.

        Parameters
        ----------
        table : (R B, B) array
            Joint histograms.
        kernel : (B, 2 r + 1) array
            Smoothing of each joint histogram, as for :meth:`smooth_table`.

        Returns
        -------
        value : float
            Sum of N_r MI_r in nats; empty regions contribute 0.
        ratio : (R B, B) array
            Derivative with respect to the smoothed table: log(p / (p_F p_M)), 0 where p = 0.
        """
