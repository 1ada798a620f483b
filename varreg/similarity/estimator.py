r"""Estimators of mutual information from a joint histogram, with its derivative.

With the joint histogram :math:`H` of the voxels in view (total weight :math:`N`), the Parzen matrix
:math:`K` and :math:`p = K H K^T / N`,

.. math:: \mathrm{MI}_{\mathrm{view}} = \sum_{ab} p_{ab} \log\frac{p_{ab}}{p_a\,p_b}, \qquad
          \frac{\partial (N\,\mathrm{MI}_{\mathrm{view}})}{\partial H} = K^T L K,
          \qquad L_{ab} = \log\frac{p_{ab}}{p_a\,p_b}.

Voxels that map outside the field of view are excluded from all three densities, and share no information.  The
similarity is therefore the mutual information of the overlap times its fraction,
:math:`\mathrm{MI} = (N / N_F)\,\mathrm{MI}_{\mathrm{view}}` with :math:`N_F` the fixed voxels inside the mask:
without this factor the similarity could be increased by moving background out of view.

Smoothing the histogram is equivalent to smoothing every sample, which avoids arrays of size N x B
(Thevenaz and Unser, IEEE TIP 2000, doi 10.1109/83.887976, for the Parzen estimator; the energy is
eq. (13) of doi 10.3390/math14122131).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backends.arrays import Array, Windows
from ..options.options import Options

#: Guard in the logarithms of the parent paper.
GUARD = 1e-7
#: The Parzen kernel is truncated at this fraction of its maximum ...
LEAST_WEIGHT = 1e-3
#: ... and the windows of the parent paper at this many standard deviations (fraction 1e-8).
WINDOW_REACH = 6.0


@dataclass(frozen=True)
class Estimator:
    """Binning of intensities, and estimation of mutual information from the histogram.

    Parameters
    ----------
    bins : int
        B, bins per image.
    kernel : (B, 2 r + 1) array or None
        Columns of the Parzen matrix: ``kernel[c, k]`` is the weight of fine bin c in bin
        c + k - r.  None for the per-pixel windows of the parent paper.
    windows : Windows or None
        Windows of the parent paper.
    margin : float
        Empty bins at either end: one for the B-spline, another for the overshoot of cubic interpolation.
    """

    bins: int
    kernel: Array | None
    windows: Windows | None
    margin: float = 1.0

    @classmethod
    def from_options(cls, options: Options) -> Estimator:
        """Estimator selected by the options."""
        if options.estimator == "per-pixel":
            reach = math.ceil(WINDOW_REACH * options.kernel_width)
            return cls(options.bins, None, Windows(reach, 0.5 / options.kernel_width**2))
        margin = 2.0 if options.interpolation == "cubic" else 1.0
        kernel = parzen_kernel(options.bins, options.kernel_width)
        return cls(options.bins, kernel, None, margin)

    @property
    def span(self) -> tuple[float, float]:
        """Bin coordinates of intensities 0 and 1."""
        margin = 0.0 if self.windows else self.margin
        return margin, self.bins - 1.0 - margin

    def to_bins(self, unit: Array, dtype: np.dtype | type) -> Array:
        """Bin coordinates of intensities scaled to [0, 1]."""
        low, high = self.span
        bins = np.multiply(unit, high - low, dtype=dtype)
        bins += low
        return bins

    def of_histogram(self, histogram: Array, total: float) -> tuple[float, float, Array]:
        """Mutual information of a histogram by the windows of the parent paper, times the fraction in view.

        Parameters
        ----------
        histogram : (B, B) array
            Sums of weights.
        total : float
            Number of fixed voxels inside the mask, whether in view or not.

        Returns
        -------
        value : float
            Mutual information in nats; 0 without overlap.
        in_view : float
            Fraction of `total` in view.
        slope : (B, B) array
            Derivative of the value with respect to the histogram.
        """
        mass = float(histogram.sum())
        if not mass > 0:
            return 0.0, 0.0, np.zeros_like(histogram)
        value, slope = _guarded(histogram / mass)
        return value * mass / total, mass / total, slope / total


def parzen_kernel(bins: int, width: float) -> Array:
    """Gaussian Parzen kernel, (B, 2 r + 1), with each row normalised within the table to preserve mass.

    Parameters
    ----------
    bins : int
        B, bins per image.
    width : float
        Standard deviation in bins.

    Returns
    -------
    (B, 2 r + 1) array
    """
    reach = max(1, math.floor(width * math.sqrt(-2 * math.log(LEAST_WEIGHT))))
    offset = np.arange(-reach, reach + 1)
    target = np.arange(bins)[:, None] + offset
    kernel = np.exp(-0.5 * (offset / width) ** 2) * ((target >= 0) & (target < bins))
    return kernel / kernel.sum(1, keepdims=True)


def _guarded(density: Array) -> tuple[float, Array]:
    """Sum of p log(p / (p_F p_M + eps) + eps), as in the parent paper, and the exact derivative of N
    times this sum with respect to the histogram.
    """
    fixed, moving = density.sum(1, keepdims=True), density.sum(0, keepdims=True)
    product = fixed * moving + GUARD
    ratio = density / product + GUARD
    logarithm = np.log(ratio)
    direct = logarithm + density / (ratio * product)
    through = -(density**2) / (ratio * product**2)
    slope = (
        direct + (through * moving).sum(1, keepdims=True) + (through * fixed).sum(0, keepdims=True)
    )
    value = float((density * logarithm).sum())
    return value, slope - float((density * slope).sum()) + value
