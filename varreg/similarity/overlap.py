r"""Mutual information of the overlap of both images: the similarity of the affine stage.

An affine map can move the images out of each other's field of view, and can enlarge an image until a part
of it fills the other.  Mutual information times the fraction in view is suited to deformations of aligned
images, but rewards such enlargement: a correct map with a small overlap has a lower value than a degenerate one
with full overlap.  Here mutual information is computed within the overlap only,

.. math:: S = g(s)\,\mathrm{MI}(p), \qquad p \propto W \odot H, \qquad
          s = \frac{\sum W \odot H}{s_0\,\min(V_F, V_M)},

with H the joint histogram of the voxels in view and W = 1, except :math:`W = w_0` where both images are
background (:mod:`varreg.images.background`), with w_0 so small that the background of the fixed
image has no more weight than its foreground: matching backgrounds are not informative, but often are most
of the voxels.  The factor :math:`g(s) = s (2 - s)` for s < 1, and 1 otherwise, prevents the
overlap from vanishing: :math:`V_F` and :math:`V_M` are the volumes of the foregrounds in fixed voxels,
and g is 1 if the overlap is at least a fraction s_0 of the smaller foreground.

With :math:`L = \log(p / (p_F p_M))` and :math:`M = \sum W \odot H`,

.. math:: \frac{\partial S}{\partial H} = W \odot \Bigl( \frac{g}{M}\,(K^T L K - \mathrm{MI})
          + \frac{g' \, \mathrm{MI}}{s_0 \min(V_F, V_M)} \Bigr) .
"""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array
from ..backends.later import Later
from ..backends.overlap import overlap_for, scales
from ..images.background import background_value
from ..images.level_image import LevelImage
from .mutual_information import MutualInformation
from .similarity import Measured

#: Largest total weight of the fixed background, relative to the fixed foreground.
BACKGROUND = 1.0
#: s_0, fraction of the smaller foreground that must be in view of the other image.
LEAST = 0.3
#: Number of bins on either side of the background value that are background, too.
MARGIN = 1


class OverlapInformation(MutualInformation):
    """Mutual information of the overlap: see :mod:`varreg.similarity.overlap`.

    Parameters are those of :class:`varreg.similarity.mutual_information.MutualInformation`, without
    regions.
    """

    def _prepare(self, fixed: LevelImage, moving: LevelImage, stride: int) -> None:
        self.overlap = overlap_for(self.kernels)
        here, there = (self._background(image.data) for image in (fixed, moving))
        counts = self.rows.voxels.sum(0).reshape(-1, self.estimator.bins).sum(0)
        shown, around = float(counts @ (1 - here)), float(counts @ here)
        weight = min(1.0, BACKGROUND * max(shown, 1.0) / max(around, 1.0))
        self.weights = 1 - (1 - weight) * np.outer(here, there)
        # foreground of the moving image in fixed voxels, after subsampling of rows
        volumes = (np.linalg.det(image.grid.affine) for image in (moving, fixed))
        ratio = abs(next(volumes) / next(volumes)) / stride
        self.least = LEAST * max(min(shown, ratio * self._shown(moving, there)), 1.0)

    def _bins(self, data: Array) -> Array:
        low, high = self.estimator.span
        return np.floor(data * (high - low) + (low + 0.5)).astype(int)

    def _background(self, data: Array) -> Array:
        """(B,) 1 for the bins of the background, else 0; a background near an end extends to that end."""
        found = np.zeros(self.estimator.bins)
        value = background_value(data)
        if value is not None:
            middle = int(self._bins(np.array(value)))
            first = 0 if middle - MARGIN <= self.estimator.span[0] else middle - MARGIN
            last = len(found) if middle + MARGIN >= self.estimator.span[1] else middle + MARGIN + 1
            found[first:last] = 1
        return found

    def _shown(self, image: LevelImage, background: Array) -> float:
        """Number of foreground voxels of an image inside its mask, or the sum of their weights."""
        weight = None if image.mask is None else np.asarray(image.mask, float).ravel()
        bins = self._bins(image.data).ravel()
        counts = np.bincount(bins, weights=weight, minlength=len(background))
        return float(counts @ (1 - background))

    def _measure(self) -> Later[Measured]:
        place = self.moving, *self.place, self.rows, self.estimator.kernel, self.weights
        found = self.kernels.later(self.overlap.information, *place, self.workspace, self.threads)
        return found.then(self._value)

    def _value(self, found: tuple[float, float, float]) -> Measured:
        seen, mass, value = found
        information = value / mass if mass > 0 else 0.0
        return scales(mass, value, self.least)[0] * information, seen / self.count

    def _gradient(self) -> Later[Array]:
        place = self.moving, *self.place, self.rows, self.estimator.kernel, self.weights, self.least
        return self.kernels.later(self.overlap.gradient, *place, self.workspace, self.threads)
