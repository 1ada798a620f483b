"""What a backend computes of joint histograms: the histograms, their mutual information, the gradients of both.

Arrays, `threads` and `workspace` are those of :mod:`varreg.backends.protocol`.
"""

from __future__ import annotations

from typing import Protocol

from .arrays import Array, HistogramRows, Moving, VoxelMap, Warped, Windows, Workspace


class InformationFunctions(Protocol):
    """The functions of every backend on joint histograms, by B-splines or by Gaussian windows.

    In what follows ``Backend`` is :class:`varreg.backends.protocol.Backend`.
    """

    def joint_histogram(
        self, moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, workspace: Workspace,
        threads: int,
    ) -> Array:  # fmt: skip
        """Sum of weights, fixed row x moving bin, without an image in between.

        The weight of a voxel is that of :meth:`Backend.warp`; a quadratic B-spline spreads it over the
        three moving bins around its value.

        Parameters
        ----------
        moving, where, nodes
            As for :meth:`Backend.warp`.
        fixed : HistogramRows
            Which row of which table each fixed voxel adds to.

        Returns
        -------
        (R B, B) float64 array
            One table per region, those of a group of tiles below each other.  Valid until the next
            call.
        """

    def backproject_table(
        self, moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, table: Array,
        workspace: Workspace, threads: int,
    ) -> Array:  # fmt: skip
        """The transposed derivative of :meth:`joint_histogram`, short of the matrix V of the map.

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
        """Sum of weights by Gaussian windows normalised at each voxel, fixed bin x moving bin.

        Parameters
        ----------
        fixed : (*S) array
            Fixed value in bins; a negative one takes the voxel out.
        warped : Warped
            As :meth:`Backend.warp` left it.
        bins : int
        shape : Windows

        Returns
        -------
        (B, B) float64 array
        """

    def windowed_slope(
        self, fixed: Array, warped: Warped, table: Array, shape: Windows, threads: int
    ) -> None:
        """The transposed derivative of :meth:`windowed_histogram`, applied to `table`, (B, B).

        Writes ``slope`` (0 for voxels taken out) and, in rows that are not full, ``weight_slope``.

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
        """Mutual information of every region times its weight, added up.

        Parameters
        ----------
        moving, where, nodes, fixed
            As for :meth:`joint_histogram`.
        kernel : (B, 2 r + 1) array
            As for :meth:`smooth_table`, which is done to each joint histogram.

        Returns
        -------
        weight : float
            N, of all voxels in view.
        value : float
            Sum of N_r MI_r in nats; a region without weight adds nothing.
        """

    def information_gradient(
        self, moving: Moving, where: VoxelMap, nodes: Array, fixed: HistogramRows, kernel: Array,
        scale: float, workspace: Workspace, threads: int,
    ) -> Array:  # fmt: skip
        """`scale` times the derivative of the second result of :meth:`mutual_information`.

        Parameters
        ----------
        moving, where, nodes, fixed, kernel
            Those of the last call of :meth:`mutual_information` with the same workspace.
        scale : float

        Returns
        -------
        (3, a, b, c) array
            By y, gathered at the nodes, as by :meth:`backproject_table`.  Valid until the next call.
        """

    def smooth_table(self, table: Array, kernel: Array) -> Array:
        """K table K^T of every region.

        Parameters
        ----------
        table : (R B, B) array
        kernel : (B, 2 r + 1) array
            Columns of the banded matrix: K[b, c] = kernel[c, b - c + r].

        Returns
        -------
        (R B, B) array
        """

    def smooth_table_transposed(self, table: Array, kernel: Array) -> Array:
        """K^T table K of every region: the transpose of :meth:`smooth_table`, with its parameters."""

    def information(self, table: Array, kernel: Array) -> tuple[float, Array]:
        """Mutual information of every region of a table of its own.

        Parameters
        ----------
        table : (R B, B) array
            Joint histograms.
        kernel : (B, 2 r + 1) array
            As for :meth:`smooth_table`, which is done to each of them.

        Returns
        -------
        value : float
            Sum of N_r MI_r in nats; empty regions add nothing.
        ratio : (R B, B) array
            Its derivative by the smoothed table: log(p / (p_F p_M)), 0 where p = 0.
        """
