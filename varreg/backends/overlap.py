"""Mutual information of a weighted joint histogram: what the similarity of the affine stage asks of a backend.

With weights W of the entries of the joint histogram H, M the sum of W H, and g(s) = s (2 - s) below s = 1 and 1 above,
s = M / least, it is g(s) MI(W H): see :mod:`varreg.similarity.overlap`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, VoxelMap, Workspace


def overlap_for(kernels: Any) -> Any:
    """What computes it with a backend: the backend itself if it can do so at once, else :class:`Overlap`."""
    return getattr(kernels, "overlap", None) or Overlap(kernels)


def scales(mass: float, value: float, least: float) -> tuple[float, float, float]:
    """g(s), and the factors of M MI and of M in the differential of g(s) MI.

    Examples
    --------
    >>> scales(8.0, 4.0, 2.0)
    (1.0, 0.125, -0.0625)
    """
    if not mass > 0:
        return 0.0, 0.0, 0.0
    s = mass / least
    factor, rise = (s * (2 - s), 2 - 2 * s) if s < 1 else (1.0, 0.0)
    return factor, factor / mass, value / mass * (rise / least - factor / mass)


class Overlap:
    """By the functions of a backend, one after the other.

    Parameters
    ----------
    kernels : module
    """

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels

    def information(
        self, moving: Any, where: VoxelMap, nodes: Array, fixed: Any, kernel: Array, weights: Array,
        workspace: Workspace, threads: int,
    ) -> tuple[float, float, float]:  # fmt: skip
        """The sum of H, M, and M MI in nats.

        Parameters
        ----------
        moving, where, nodes, fixed, kernel
            As for ``mutual_information`` of a backend, with one region.
        weights : (B, B) array
            W.
        """
        histogram = self._kernels.joint_histogram(moving, where, nodes, fixed, workspace, threads)
        kept = histogram * weights
        mass, value, ratio = float(kept.sum()), 0.0, np.zeros_like(kept)
        if mass > 0:
            value, ratio = self._kernels.information(kept, kernel)
        workspace["overlap"], workspace["overlap-ratio"] = np.array([mass, value]), ratio
        return float(histogram.sum()), mass, value

    def gradient(
        self, moving: Any, where: VoxelMap, nodes: Array, fixed: Any, kernel: Array, weights: Array,
        least: float, workspace: Workspace, threads: int,
    ) -> Array:  # fmt: skip
        """The derivative of g(s) MI, for what :meth:`information` has computed last with this workspace.

        By y, gathered at the nodes, as by ``backproject_table`` of a backend.
        """
        mass, value = workspace["overlap"].tolist()
        _, by_value, by_mass = scales(mass, value, least)
        smoothed = self._kernels.smooth_table_transposed(workspace["overlap-ratio"], kernel)
        slope = weights * (by_value * smoothed + by_mass)
        place = moving, where, nodes, fixed, slope, workspace, threads
        gathered: Array = self._kernels.backproject_table(*place)
        return gathered
