r"""Mutual information of a joint histogram, and its derivative table.

With the histogram :math:`H` of the voxels in view (total weight :math:`N`), the Parzen matrix
:math:`K` and :math:`p = K H K^T / N`,

.. math:: \mathrm{MI}_{\mathrm{view}} = \sum_{ab} p_{ab} \log\frac{p_{ab}}{p_a\,p_b}, \qquad
          \frac{\partial (N\,\mathrm{MI}_{\mathrm{view}})}{\partial H} = K^T L K,
          \qquad L_{ab} = \log\frac{p_{ab}}{p_a\,p_b}.

A voxel that maps out of view is in none of the three densities, and shares no information.  The
similarity is therefore the mutual information *given what is in view*,
:math:`\mathrm{MI} = (N / N_F)\,\mathrm{MI}_{\mathrm{view}}` with :math:`N_F` the fixed voxels inside the mask:
without the factor an image gains by pushing its background out of view.

Smoothing the table is the same as smoothing every sample, so nothing of size N x B exists
(Thevenaz and Unser, IEEE TIP 2000, doi 10.1109/83.887976, for the Parzen estimator; the energy is
eq. (13) of doi 10.3390/math14122131).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..backends.arrays import Array, Windows
from ..options.options import Options

#: The parent paper's guard inside its logarithms.
GUARD = 1e-7
#: Weights of the Parzen kernel below this share of the largest are dropped ...
LEAST_WEIGHT = 1e-3
#: ... and those of the parent paper's windows beyond this many standard deviations (share 1e-8).
WINDOW_REACH = 6.0


@dataclass(frozen=True)
class Estimator:
    """How intensities become bins and a histogram becomes mutual information.

    Parameters
    ----------
    bins : int
        B, bins per image.
    kernel : (B, 2 r + 1) array or None
        Columns of the Parzen matrix: ``kernel[c, k]`` is the share of fine bin c that goes to bin
        c + k - r.  None for the parent paper's per-pixel windows.
    windows : Windows or None
        The parent paper's windows.
    margin : float
        Bins left free at either end: one for the spline, another for what cubic splines overshoot.
    """

    bins: int
    kernel: Array | None
    windows: Windows | None
    margin: float = 1.0

    @classmethod
    def from_options(cls, options: Options) -> Estimator:
        """The estimator that the options name."""
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
        """Mutual information of a histogram by the parent paper's windows, given what is in view.

        Parameters
        ----------
        histogram : (B, B) array
            Sums of weights.
        total : float
            Number of fixed voxels inside the mask, in view or not.

        Returns
        -------
        value : float
            In nats; 0 if nothing is in view.
        in_view : float
            Fraction of `total` that is in view.
        slope : (B, B) array
            Derivative of the value by the histogram.
        """
        mass = float(histogram.sum())
        if not mass > 0:
            return 0.0, 0.0, np.zeros_like(histogram)
        value, slope = _guarded(histogram / mass)
        return value * mass / total, mass / total, slope / total


def parzen_kernel(bins: int, width: float) -> Array:
    """Gaussian shares, (B, 2 r + 1), each row summing to 1 within the table: mass is kept.

    Parameters
    ----------
    bins : int
    width : float
        Standard deviation in bins.
    """
    reach = max(1, math.floor(width * math.sqrt(-2 * math.log(LEAST_WEIGHT))))
    offset = np.arange(-reach, reach + 1)
    target = np.arange(bins)[:, None] + offset
    kernel = np.exp(-0.5 * (offset / width) ** 2) * ((target >= 0) & (target < bins))
    return kernel / kernel.sum(1, keepdims=True)


def _guarded(density: Array) -> tuple[float, Array]:
    """The parent paper's sum p log(p / (p_F p_M + eps) + eps), and N times its exact derivative
    with respect to the histogram, shifted so that it is that of N times the sum.
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
