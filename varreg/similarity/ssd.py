r"""Squared differences, expressed as a gain of log-likelihood.

With the weights w of the warped voxels, :math:`W = \sum w`, and N_F the fixed voxels inside the mask,

.. math:: r = \frac1W \sum_i w_i \frac1C \sum_c (m_{ci} - f_{ci})^2, \qquad
          S = \frac{W}{N_F}\,\frac12 \log\frac{v_0 + \varepsilon}{r + \varepsilon} .

For normally distributed differences of estimated variance r, S is the gain of log-likelihood (nats) per voxel over a
random alignment, whose differences have the variance

.. math:: v_0 = \mathrm{var}(f) + \mathrm{var}(m) + (\bar f - \bar m)^2 .

S thus has the unit and the scale of mutual information, so that the usual weights of the energy apply.  (The
logarithm of the mean square is the likelihood maximised over the unknown variance; correlated channels are averaged,
as if they were one.)  A voxel out of view has the gain of a random alignment, zero: with
var(f) in place of v_0, a poor start could have a lower value than a map without overlap.

The derivatives are

.. math:: \frac{\partial S}{\partial m_{ci}} = -\frac{w_i (m_{ci} - f_{ci})}{N_F C (r + \varepsilon)},
          \qquad \frac{\partial S}{\partial w_i} = \frac1{2 N_F} \Bigl( \log\frac{v_0 + \varepsilon}
          {r + \varepsilon} - \frac{e_i - r}{r + \varepsilon} \Bigr), \quad e_i = \frac1C \sum_c
          (m_{ci} - f_{ci})^2 .
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..backends.arrays import Array
from .warped import WarpedSimilarity

#: Standard deviation of the noise, as a fraction of the intensity range: the least one of the differences.
#: Its square is epsilon; identical images have S = log(v_0 / epsilon) / 2, about 3.
NOISE = 0.01


class SquaredDifferences(WarpedSimilarity):
    """Squared differences of images of the same contrast: see :mod:`varreg.similarity.ssd`.

    Parameters are those of :class:`varreg.similarity.warped.WarpedSimilarity`.
    """

    def prepare(self, moving: Array, mask: Array) -> None:
        """Compute v_0, and allocate the differences."""
        weight = mask if mask.size else np.ones_like(moving[0])
        self.chance = chance_difference(self.fixed, self.inside, moving, weight)
        self.residual = 0.0  # r
        self.error = np.empty_like(self.weight)  # e

    def measure(self) -> float:
        """S; overwrites ``warped`` with the differences."""
        self.error[...] = 0
        square = np.empty_like(self.error)
        for values, fixed in zip(self.warped, self.fixed, strict=True):
            np.subtract(values, fixed, out=values)
            self.error += np.multiply(values, values, out=square)
        self.error *= 1 / len(self.fixed)
        np.multiply(self.error, self.weight, out=square)
        self.residual = float(square.sum(dtype=np.float64)) / self.total
        return self.in_view * self._gain()

    def slopes(self, by_weight: bool) -> tuple[Iterator[Array], Array | None]:
        """dS/d(warped value), channel by channel, and dS/dw."""
        spread = self.residual + NOISE**2
        factor = self.weight * self.dtype.type(-1 / (self.count * len(self.fixed) * spread))
        values = (difference * factor for difference in self.warped)
        if not by_weight:
            return values, None
        excess = (self.error - self.residual) / spread
        return values, (self._gain() - 0.5 * excess) / self.count

    def _gain(self) -> float:
        return 0.5 * math.log((self.chance + NOISE**2) / (self.residual + NOISE**2))


def chance_difference(fixed: Array, here: Array, moving: Array, there: Array) -> float:
    """v_0: expected squared difference of a random fixed and a random moving voxel, mean over channels.

    Parameters
    ----------
    fixed, moving : (C, ...) array
    here, there : (...) array
        Weights of the fixed and of the moving voxels.
    """
    total = 0.0
    for one, other in zip(fixed, moving, strict=True):
        (mean, variance), (second, spread) = _moments(one, here), _moments(other, there)
        total += variance + spread + (mean - second) ** 2
    return total / len(fixed)


def _moments(image: Array, weight: Array) -> tuple[float, float]:
    """Weighted mean and variance; 0 if all weights are 0."""
    total = max(float(weight.sum(dtype=np.float64)), float(np.finfo(np.float64).tiny))
    mean = float((image * weight).sum(dtype=np.float64)) / total
    off = image - image.dtype.type(mean)
    off *= off
    off *= weight
    return mean, float(off.sum(dtype=np.float64)) / total
