"""The iteration that inverts id + u at points, on the host or on a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..backends.namespace import beside
from ..geometry.displacement import Float

if TYPE_CHECKING:
    from .deformation import Deformation


def fixed_point(
    deformation: Deformation, w: Float, tolerance: float, iterations: int, method: str
) -> tuple[Float, Float, int]:
    """v (mm) and its residual (mm) at (d, n) fixed voxel coordinates w, and the iterations used.

    Parameters
    ----------
    deformation : Deformation
        Its nodes may be on the device of w; otherwise they are transferred in each iteration.
    w : (d, n) float64 array
        On the host or on a device; results are on the same.
    tolerance, iterations, method
        See :func:`varreg.transforms.inversion.invert`.
    """
    spacing = beside(deformation.grid.spacing[:, None], w)
    if method == "paper":
        v = -deformation.at(w + deformation.at(w) / spacing)
        return v, np.linalg.norm(v + deformation.at(w + v / spacing), axis=0), 1
    v, residual = np.zeros_like(w), np.full_like(w[0], np.inf)
    relaxation = np.ones_like(w[0])
    active, count = beside(np.arange(w.shape[1]), w), 0
    while True:
        error = v[:, active] + deformation.at(w[:, active] + v[:, active] / spacing)
        size = np.linalg.norm(error, axis=0)
        # Plain iteration needs |grad u| < 1.  Points with slow convergence take shorter steps, so that the
        # iteration contracts wherever the eigenvalues of id + grad u are in the right half-plane.
        relaxation[active[size > 0.9 * residual[active]]] *= 0.5
        residual[active] = size
        open_ = size > tolerance
        active, error = active[open_], error[:, open_]
        if len(active) == 0 or count == iterations:
            return v, residual, count
        v[:, active] -= relaxation[active] * error
        count += 1
