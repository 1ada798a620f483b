"""A registration problem: two images in unit intensities, and their levels made on demand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np

from ..images.level_image import LevelImage, coarsened
from ..optimise.history import Energy
from ..options.options import Options
from ..similarity import choice
from ..similarity.histogram_rows import row_stride
from ..similarity.similarity import Similarity
from .pyramid import level_factors, node_shape

#: Fewest bins at a coarse level.
FEWEST_BINS = 16
#: With fewer voxels than this an evaluation takes less time than waking a thread.
LEAST_VOXELS_FOR_THREADS = 2**16


@dataclass(frozen=True)
class Problem:
    """What both stages work on.

    Parameters
    ----------
    fixed, moving : LevelImage
        Full-resolution images scaled to [0, 1].
    options : Options
    kernels : module
        The backend.
    threads : int

    Attributes
    ----------
    energies : dict
        Of affine maps at the finest level, as far as :func:`varreg.stages.levels.affine_energy` has measured them.
    """

    fixed: LevelImage
    moving: LevelImage
    options: Options
    kernels: ModuleType
    threads: int
    energies: dict[tuple[bytes, bool], Energy] = field(default_factory=dict, compare=False)
    _levels: dict[float, tuple[LevelImage, LevelImage]] = field(default_factory=dict)
    _similarities: dict[tuple[float, str], Similarity] = field(default_factory=dict)

    def with_options(self, options: Options) -> Problem:
        """The same images with other options: similarities are made anew, unless they only name what was decided."""
        if options == self.options.decided(self.fixed.grid.dim):
            return replace(self, options=options)
        return Problem(
            self.fixed, self.moving, options, self.kernels, self.threads, {}, self._levels
        )

    @property
    def factors(self) -> tuple[float, ...]:
        """Coarsening factors of the levels, coarse to fine."""
        return level_factors(self.fixed.grid, self.options)

    def level(self, factor: float) -> tuple[LevelImage, LevelImage]:
        """Both images at a coarsening factor of the smallest fixed spacing."""
        if factor not in self._levels:
            missing = sorted({*self.factors, factor} - self._levels.keys())
            spacings = [f * float(self.fixed.grid.spacing.min()) for f in missing]
            images = (
                coarsened(image, spacings, self.kernels, self.threads)
                for image in (self.fixed, self.moving)
            )
            self._levels.update(zip(missing, zip(*images, strict=True), strict=True))
        return self._levels[factor]

    def similarity(self, factor: float, name: str) -> Similarity:
        """The similarity of this name at a level, with no more bins than the root of its voxels."""
        if (factor, name) not in self._similarities:
            self._similarities[factor, name] = self._similarity(factor, name)
        return self._similarities[factor, name]

    def _similarity(self, factor: float, name: str) -> Similarity:
        fixed, moving = self.level(factor)
        most = max(FEWEST_BINS, math.isqrt(fixed.data.size))
        options = self.options
        if options.estimator == "fine-histogram" and options.bins > most:
            options = options.replace(bins=most)
        nodes = node_shape(self.fixed.grid, options)
        share = 1.0 if fixed.mask is None else float(np.mean(fixed.mask > 0.5))
        stride = row_stride(fixed.grid, nodes, options.samples_per_node, share)
        threads = self.threads if fixed.data.size >= LEAST_VOXELS_FOR_THREADS else 1
        return choice.similarity(name, fixed, moving, options, self.kernels, threads, stride=stride)
