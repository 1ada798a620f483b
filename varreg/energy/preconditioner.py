r"""Preconditioner: an approximate inverse Hessian of the energy, the initial matrix of L-BFGS.

In the coordinates z of the smoothness term the Hessian of this term is the identity.  The similarity
contributes about the same curvature at all wavelengths, and the volume term
:math:`\nu\Lambda/d` on average over directions.  With :math:`s = 2\mu\rho`, see
:mod:`varreg.energy.smoothness`, the inverse of the sum of the three is

.. math:: P = \frac{s}{s + \kappa + \nu\Lambda/d}, \qquad \kappa = \lambda\,C / L^2 .

Without preconditioning, steps are dominated by long wavelengths, whose smoothness penalty is small, and short
wavelengths converge slowly: an advantage while the images are far apart, a disadvantage near the minimum.
"""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..backends.namespace import beside
from .smoothness import Smoothness, laplacian_symbol

#: C: twice the loss of similarity by a misalignment of L; the result hardly depends on it between 0.3 and 3.
CURVATURE = 0.3
#: L as a fraction of the geometric mean extent of the field of view.
CURVATURE_LENGTH = 0.05


class Preconditioner:
    """Approximate inverse Hessian on one displacement grid, diagonal in z.

    Parameters
    ----------
    smoothness : Smoothness
    spacing : (d,) array
        Node spacing in mm.
    similarity_weight : float
        lambda.
    volume_weight : float
        nu.
    """

    def __init__(
        self,
        smoothness: Smoothness,
        spacing: Array,
        similarity_weight: float,
        volume_weight: float,
    ) -> None:
        dimension = len(smoothness.shape)
        extent = np.exp(np.mean(np.log(spacing * np.array(smoothness.shape))))
        symbol = laplacian_symbol(smoothness.shape, spacing, smoothness.constraint)
        rest = similarity_weight * CURVATURE / (CURVATURE_LENGTH * extent) ** 2
        rest = (rest + volume_weight / dimension * symbol) / np.prod(smoothness.shape)
        squared = np.square(smoothness.scale)
        self._here = squared / (squared + rest)
        self._beside: Array | None = None

    def __call__(self, gradient: Array) -> Array:
        r"""P times a gradient in z, (d, \*m)."""
        if isinstance(gradient, np.ndarray):
            return self._here * gradient
        if self._beside is None:
            self._beside = beside(self._here, gradient)
        return self._beside * gradient
