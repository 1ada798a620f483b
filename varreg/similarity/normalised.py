r"""Normalised mutual information of the whole image, in nats.

With the smoothed joint histogram Q of the voxels in view (total weight N, p = Q / N) and the
entropies H_F, H_M and H_FM of p and its marginals, normalised mutual information is
:math:`(H_F + H_M) / H_{FM} = 1 + \mathrm{MI}_{\mathrm{view}} / H_{FM}` (Studholme et al., Pattern
Recognition 32, 1999, doi 10.1016/S0031-3203(98)00091-0).  The maximised similarity is

.. math:: S = \frac{N}{N_F}\,H_0\,(\mathrm{NMI} - 1)
            = \frac{N}{N_F}\,\mathrm{MI}_{\mathrm{view}}\,\frac{H_0}{H_{FM}},

with H_0 the constant entropy of the fixed image.  S has the unit (nats) and the scale of mutual information, so
that the usual weights of the energy apply: the last factor is about 1 if the moving image is a function of the
fixed image (then H_FM = H_F), and decreases with the conditional entropy of the moving image.  As for mutual
information (:mod:`varreg.similarity.estimator`), the factor N / N_F accounts for voxels out of view; without it the
similarity could be increased by moving background out of view.

With :math:`L = \log(p / (p_F p_M))`,

.. math:: \frac{\partial S}{\partial Q} = \frac{H_0}{N_F H_{FM}} \Bigl(\mathrm{MI}_{\mathrm{view}} + L
          + \frac{\mathrm{MI}_{\mathrm{view}}}{H_{FM}} \log p\Bigr).

H_FM is positive, because the B-spline distributes even a constant moving image over two bins.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..backends.arrays import Array, HistogramRows
from ..backends.later import Later, known
from ..backends.logarithm import logarithm
from ..images.level_image import LevelImage
from .estimator import Estimator
from .mutual_information import MutualInformation
from .similarity import Measured


class NormalisedMutualInformation(MutualInformation):
    """Normalised mutual information: see :mod:`varreg.similarity.normalised`.

    Parameters are those of :class:`varreg.similarity.mutual_information.MutualInformation`, without regions.
    """

    def _prepare(self, fixed: LevelImage, moving: LevelImage, stride: int) -> None:
        self.fixed_entropy = fixed_entropy(self.rows, self.estimator, self.kernels)  # H_0

    def _measure(self) -> Later[Measured]:
        return known(self._measure_table())

    def _measure_table(self) -> Measured:
        kernels, kernel = self.kernels, self.estimator.kernel
        images = self.moving, *self.place, self.rows
        histogram = kernels.joint_histogram(*images, self.workspace, self.threads)
        mass = float(histogram.sum())
        if not mass > 0:
            self.slope = np.zeros_like(histogram)
            return 0.0, 0.0
        density = kernels.smooth_table(histogram, kernel) / mass
        joint = logarithm(density)
        fixed, moving = density.sum(1, keepdims=True), density.sum(0, keepdims=True)
        ratio = joint - logarithm(fixed) - logarithm(moving)  # L; arbitrary where p = 0
        information = float((density * ratio).sum())
        entropy = -float((density * joint).sum())
        scale = self.fixed_entropy / (self.count * entropy)
        self.slope = scale * (information + ratio + information / entropy * joint)
        return mass * scale * information, mass / self.count

    def _gradient(self) -> Later[Array]:
        table = self.kernels.smooth_table_transposed(self.slope, self.estimator.kernel)
        place = self.moving, *self.place, self.rows, table, self.workspace, self.threads
        return self.kernels.later(self.kernels.backproject_table, *place)


def fixed_entropy(rows: HistogramRows, estimator: Estimator, kernels: ModuleType) -> float:
    """H_0: entropy (nats) of the smoothed histogram of the fixed voxels inside the mask."""
    count = rows.voxels.sum(0)
    if estimator.kernel is None or not count.sum() > 0:
        return 0.0
    density = kernels.smooth_table(np.diag(count / count.sum()), estimator.kernel).sum(1)
    return -float((density * logarithm(density)).sum())
