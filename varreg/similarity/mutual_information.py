"""Mutual information at one level, of the whole image or regional."""

from __future__ import annotations

from types import ModuleType

import numpy as np

from ..backends.arrays import Array, Warped, Workspace
from ..backends.later import Later, known
from ..images.level_image import LevelImage
from ..options.options import Options
from .estimator import Estimator
from .histogram_rows import histogram_rows
from .regions import region_counts
from .similarity import Measured, Similarity
from .volumes import as_volume, moving_image


class MutualInformation(Similarity):
    """Mutual information at one level, in nats.

    Parameters
    ----------
    fixed, moving : LevelImage
        The two images at this level.
    options : Options
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of images and maps (float32; float64 for derivative checks).
    regional : bool
        Whether each region of the fixed image has a separate joint histogram.
    stride : int
        Subsampling of the rows of the fixed image.
    """

    def __init__(
        self,
        fixed: LevelImage,
        moving: LevelImage,
        options: Options,
        kernels: ModuleType,
        threads: int,
        dtype: np.dtype | type = np.float32,
        regional: bool = False,
        stride: int = 1,
    ) -> None:
        super().__init__(fixed.grid, moving.grid, kernels, threads, dtype)
        self.estimator = Estimator.from_options(options)
        inside = None if fixed.counts is None else as_volume(fixed.counts)
        values = self.estimator.to_bins(moving.data, self.dtype)
        cubic = options.interpolation == "cubic"
        self.moving = kernels.resident(
            moving_image(values, moving.mask, self.estimator.span, cubic)
        )
        self.workspace = Workspace()
        if self.estimator.windows is None:
            boxes = options.decided(fixed.grid.dim).regions if regional else 1
            counts = region_counts(fixed.grid, boxes or 1)
            counts = (1,) * (3 - len(counts)) + counts
            shown, bins = as_volume(fixed.data), self.estimator.bins
            rows = histogram_rows(shown, bins, counts, inside, stride, self.estimator.span)
            self.rows = kernels.resident(rows)
            self.count = float(self.rows.voxels.sum()) or 1.0
        else:
            unit = self.estimator.to_bins(as_volume(fixed.data), self.dtype)
            values = unit if inside is None else np.where(inside > 0, unit, unit.dtype.type(-1))
            counted = values >= 0 if inside is None else inside
            self.count = float(counted.sum(dtype=np.float64)) or 1.0
            self.fixed = kernels.resident(values)
            self.warped = kernels.resident(Warped.empty(values.shape, self.dtype))
            self.weight = None
            if inside is not None and fixed.weighted:
                self.weight = kernels.resident(np.asarray(inside, self.dtype))
        self._prepare(fixed, moving, stride)

    def _prepare(self, fixed: LevelImage, moving: LevelImage, stride: int) -> None:
        """Precompute quantities of a subclass that do not depend on the map; called once."""

    def _measure(self) -> Later[Measured]:
        kernels, kernel, threads = self.kernels, self.estimator.kernel, self.threads
        if kernel is None:
            return known(self._measure_windows())
        place = (self.moving, *self.place, self.rows, kernel, self.workspace, threads)
        found = kernels.later(kernels.mutual_information, *place)
        return found.then(lambda both: (both[1] / self.count, both[0] / self.count))

    def _gradient(self) -> Later[Array]:
        kernels, windows, threads = self.kernels, self.estimator.windows, self.threads
        moving = (self.moving, *self.place)
        if windows is None:
            place = (*moving, self.rows, self.estimator.kernel, 1 / self.count, self.workspace, threads)  # fmt: skip
            return kernels.later(kernels.information_gradient, *place)
        kernels.windowed_slope(self.fixed, self.warped, self.slope, windows, threads)
        if self.weight is not None:
            self.warped.weight_slope[...] *= self.weight
        return kernels.later(kernels.backproject, *moving, self.warped, self.workspace, threads)

    def _measure_windows(self) -> Measured:
        """Mutual information by the windows of the parent paper, normalised at each pixel."""
        kernels, windows, bins = self.kernels, self.estimator.windows, self.estimator.bins
        kernels.warp(self.moving, *self.place, self.warped, self.threads)
        if self.weight is not None:
            weigh(self.warped, self.weight)
        images = self.fixed, self.warped
        histogram = kernels.windowed_histogram(*images, bins, windows, self.threads)
        value, in_view, self.slope = self.estimator.of_histogram(histogram, self.count)
        return value, in_view


def weigh(warped: Warped, weight: Array) -> None:
    """Multiply the weights of a warped image by the weights of the fixed image, in all rows."""
    full = warped.full.reshape(*warped.weight.shape[:2], 1)
    np.copyto(warped.weight, 1, where=full.astype(bool))
    warped.weight[...] *= weight
    warped.full[...] = 0
