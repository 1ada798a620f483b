"""Mutual information of a weighted joint histogram, for the similarity of the affine stage.

With weights W of the entries of the joint histogram H, M the sum of W H, s = M / least, and g(s) = s (2 - s) for
s < 1 and 1 otherwise, the similarity is g(s) MI(W H): see :mod:`varreg.similarity.overlap`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .arrays import Array, VoxelMap, Workspace


def overlap_for(kernels: Any) -> Any:
    """Implementation for a backend: a specialised one of the backend if there is one, else :class:`Overlap`."""
    return getattr(kernels, "overlap", None) or Overlap(kernels)


def scales(mass: float, value: float, least: float) -> tuple[float, float, float]:
    """g(s), and the coefficients of d(M MI) and of dM in the differential of g(s) MI.

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
    """Generic implementation by the functions of a backend.

    Parameters
    ----------
    kernels : module
        The backend.
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
        """Derivative of g(s) MI, after the last call of :meth:`information` with this workspace.

        With respect to y at the nodes, (3, a, b, c), as by ``backproject_table`` of a backend.
        """
        mass, value = workspace["overlap"].tolist()
        _, by_value, by_mass = scales(mass, value, least)
        smoothed = self._kernels.smooth_table_transposed(workspace["overlap-ratio"], kernel)
        slope = weights * (by_value * smoothed + by_mass)
        place = moving, where, nodes, fixed, slope, workspace, threads
        gathered: Array = self._kernels.backproject_table(*place)
        return gathered
