r"""Local normalised cross-correlation, expressed as mutual information.

The local moments of both images in a box around every fixed voxel x are weighted by the weights w of the warped
voxels: with G the mean over the box, e.g. :math:`\mathrm{cov} = G(wfm)/G(w) - G(wf)\,G(wm)/G(w)^2`.
With

.. math:: \rho^2 = \frac{\mathrm{cov}^2}{(\mathrm{var}_f + \varepsilon)(\mathrm{var}_m + \varepsilon)},
          \qquad S = \frac1{N_F} \sum_x w_x\,g_x, \qquad g = -\tfrac12 \log(1 - \rho^2),

g is the mutual information (nats) of two normal variables with correlation rho, so that the usual weights of
the energy apply.  It is invariant under affine changes of intensity, including inversion, that vary slowly over
a box (Avants et al., Medical Image Analysis 12, 2008, doi 10.1016/j.media.2007.06.004).  Voxels outside the
field of view share no information, and are excluded from the boxes.

G is self-adjoint.  With :math:`g_a` the derivative of g with respect to the local mean of a, and
:math:`c = w / (N_F\,G(w))`, the derivative of S with respect to the products w a is :math:`G(c\,g_a)`, hence

.. math:: \frac{\partial S}{\partial m} = w\,\bigl(G(c\,g_m) + 2 m\,G(c\,g_{mm}) + f\,G(c\,g_{fm})\bigr).

The derivative with respect to w has contributions of the five means, of g and of G(w).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from ..backends.arrays import Array
from ..backends.namespace import quotient
from .warped import WarpedSimilarity
from .windows import averages

#: Odd number of voxels of a box along the finest axis of the level (a standard deviation of 2 voxels); along the
#: other axes about the same length in mm.
WIDTH = 7
#: Standard deviation of the noise, as a fraction of the intensity range.  Its square is epsilon, by which
#: the correlation is 0 where both images are constant, and 1 - rho^2 remains positive.
NOISE = 0.01
#: Voxels of smaller weight are ignored, because running sums over boxes have rounding errors.
LEAST_WEIGHT = 1e-8


class Slopes(NamedTuple):
    """Derivatives of g with respect to the local means of f, m, f^2, m^2 and f m."""

    f: Array
    m: Array
    ff: Array
    mm: Array
    fm: Array


class Moments(NamedTuple):
    """Local means, variances (with epsilon) and covariance of both images."""

    f_mean: Array
    m_mean: Array
    f_var: Array
    m_var: Array
    cov: Array

    @classmethod
    def about_means(
        cls, f: Array, m: Array, ff: Array, mm: Array, fm: Array, noise: np.floating
    ) -> Moments:
        """Central moments from the local means of f, m, f^2, m^2 and f m, which are overwritten."""
        ff -= f * f
        mm -= m * m
        fm -= f * m
        ff += noise
        mm += noise
        return cls(f, m, ff, mm, fm)

    def information(self) -> Array:
        """g = -log(1 - rho^2) / 2."""
        product = self.f_var * self.m_var
        return product.dtype.type(0.5) * np.log(product / (product - self.cov**2))

    def slopes(self) -> Slopes:
        """Derivatives of g with respect to the five local means."""
        fm = self.cov / (self.f_var * self.m_var - self.cov**2)
        both = -0.5 * self.cov * fm
        ff, mm = both / self.f_var, both / self.m_var
        f = -self.m_mean * fm - 2 * self.f_mean * ff
        m = -self.f_mean * fm - 2 * self.m_mean * mm
        return Slopes(f, m, ff, mm, fm)

    def scale_slope(self, g: Slopes, noise: np.floating) -> Array:
        """Derivative of g with respect to log G(w), the divisor of all five means."""
        mean = (self.cov - self.f_mean * self.m_mean) * g.fm
        mean += (self.f_var - noise - self.f_mean**2) * g.ff
        mean += (self.m_var - noise - self.m_mean**2) * g.mm
        return np.negative(mean, out=mean)


class LocalCorrelation(WarpedSimilarity):
    """Local normalised cross-correlation: see :mod:`varreg.similarity.lncc`.

    Parameters are those of :class:`varreg.similarity.warped.WarpedSimilarity`.
    """

    def prepare(self, moving: Array, mask: Array) -> None:
        """Set the size of the box, and shift the fixed image by the middle of its range.

        The shift does not change central moments, but reduces their rounding errors.
        """
        spacing = self.fixed_grid.spacing
        half = np.round(WIDTH // 2 * spacing.min() / spacing).astype(int)
        self.box = [1] * (3 - len(half)) + [2 * int(h) + 1 for h in half]
        self.noise, self.centre = self.dtype.type(NOISE**2), self.dtype.type(0.5)
        self.f = self.fixed[0] - self.centre

    def measure(self) -> float:
        """S; shifts ``warped`` by the middle of the range."""
        w, f, m = self.weight, self.f, self.warped[0]
        m -= self.centre
        wf, wm = w * f, w * m
        products = w, wf, wm, wf * f, wm * m, wf * m
        total, f1, m1, ff, mm, fm = averages(products, self.box, self.threads)
        self.inverse = quotient(1, total, w > LEAST_WEIGHT)
        for mean in (f1, m1, ff, mm, fm):
            mean *= self.inverse
        self.moments = Moments.about_means(f1, m1, ff, mm, fm, self.noise)
        self.information = self.moments.information()
        return float((self.information * w).sum(dtype=np.float64)) / self.count

    def slopes(self, by_weight: bool) -> tuple[Iterator[Array], Array | None]:
        """dS/d(warped value) and dS/dw."""
        w, f, m = self.weight, self.f, self.warped[0]
        portion = self.dtype.type(1 / self.count)
        c = w * self.inverse * portion
        g = self.moments.slopes()
        wanted = [g.m, g.mm, g.fm]
        if by_weight:
            wanted += [g.f, g.ff, self.moments.scale_slope(g, self.noise)]
        for slope in wanted:
            slope *= c
        by_m, by_mm, by_fm, *others = averages(wanted, self.box, self.threads)
        by_m += f * by_fm
        values = w * (by_m + 2 * m * by_mm)
        if not by_weight:
            return iter([values]), None
        by_f, by_ff, by_total = others
        by_m += m * by_mm
        weights = self.information * portion + by_total + f * (by_f + f * by_ff) + m * by_m
        return iter([values]), weights
