r"""An approximate inverse Hessian of the energy: where L-BFGS begins.

In the coordinates z of the smoothness term the Hessian of that term is the identity.  The data curve the
energy too, by about the same amount for all wavelengths, and the volume term by
:math:`\nu\Lambda/d` on average over directions.  With :math:`s = 2\mu\rho`, see
:mod:`varreg.energy.smoothness`, the inverse of the three together is

.. math:: P = \frac{s}{s + \kappa + \nu\Lambda/d}, \qquad \kappa = \lambda\,C / L^2 .

Without it steps follow long waves, for which smoothness costs almost nothing, and leave short ones behind: good while
images are far apart, slow near the answer.
"""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..backends.namespace import beside
from .smoothness import Smoothness, laplacian_symbol

#: C: what a similarity loses, twice over, when anatomy is L out of place; between 0.3 and 3 it makes little difference.
CURVATURE = 0.3
#: L as a share of the geometric mean extent.
CURVATURE_LENGTH = 0.05


class Preconditioner:
    """The approximate inverse Hessian of one displacement grid, diagonal in z.

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
