r"""Mutual information of what both images show where they overlap: the similarity of the affine stage.

An affine map is free to push images out of each other's view, and to blow one up until a part of it
fills the other.  Mutual information times the fraction in view, right for a displacement that is near
already, rewards the latter: an image of few voxels in view loses against a collapsed one that fills
them.  Here only what is in view counts,

.. math:: S = g(s)\,\mathrm{MI}(p), \qquad p \propto W \odot H, \qquad
          s = \frac{\sum W \odot H}{s_0\,\min(V_F, V_M)},

with H the joint histogram of the voxels in view and W = 1, but :math:`W = w_0` where both images show
their background (:mod:`varreg.images.background`), with w_0 so small that the background of the fixed
image weighs no more than what it shows: two backgrounds that agree tell little of what they surround,
and would often be most of the voxels.  :math:`g(s) = s (2 - s)` below s = 1 and 1 above keeps the
overlap from vanishing: :math:`V_F` and :math:`V_M` are the foregrounds of both images, in fixed voxels,
and what they share must be a part s_0 of the smaller one to count in full.

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

#: Largest weight of the fixed background together, in units of what the fixed image shows.
BACKGROUND = 1.0
#: s_0, part of the smaller foreground that must be in view of the other image.
LEAST = 0.3
#: Bins on either side of that of the background that belong to it.
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
        # of the moving image, in fixed voxels, of which one row of `stride` is compared
        volumes = (np.linalg.det(image.grid.affine) for image in (moving, fixed))
        ratio = abs(next(volumes) / next(volumes)) / stride
        self.least = LEAST * max(min(shown, ratio * self._shown(moving, there)), 1.0)

    def _bins(self, data: Array) -> Array:
        low, high = self.estimator.span
        return np.floor(data * (high - low) + (low + 0.5)).astype(int)

    def _background(self, data: Array) -> Array:
        """(B,) 1 for the bins of the background, else 0; beyond a background at an end there is nothing."""
        found = np.zeros(self.estimator.bins)
        value = background_value(data)
        if value is not None:
            middle = int(self._bins(np.array(value)))
            first = 0 if middle - MARGIN <= self.estimator.span[0] else middle - MARGIN
            last = len(found) if middle + MARGIN >= self.estimator.span[1] else middle + MARGIN + 1
            found[first:last] = 1
        return found

    def _shown(self, image: LevelImage, background: Array) -> float:
        """voxels of an image inside its mask and are no background."""
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
