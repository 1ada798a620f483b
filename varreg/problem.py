"""A registration problem: two images in unit intensities, and their levels made on demand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from types import ModuleType

from .energy import Matching
from .options import Options
from .pyramid import Sampled, coarsen, level_factors

#: Fewest bins at a coarse level.
FEWEST_BINS = 16


@dataclass(frozen=True)
class Problem:
    """What both stages work on.

    Parameters
    ----------
    fixed, moving : Sampled
        Full-resolution images scaled to [0, 1].
    options : Options
    kernels : module
        The backend.
    threads : int
    """

    fixed: Sampled
    moving: Sampled
    options: Options
    kernels: ModuleType
    threads: int
    _levels: dict[float, tuple[Sampled, Sampled]] = field(default_factory=dict)

    @property
    def factors(self) -> tuple[float, ...]:
        """Coarsening factors of the continuation, coarse to fine."""
        return level_factors(self.fixed.grid, self.options)

    def level(self, factor: float) -> tuple[Sampled, Sampled]:
        """Both images at a coarsening factor of the smallest fixed spacing."""
        if factor not in self._levels:
            spacing = factor * float(self.fixed.grid.spacing.min())
            self._levels[factor] = (
                coarsen(self.fixed, spacing, self.kernels, self.threads),
                coarsen(self.moving, spacing, self.kernels, self.threads),
            )
        return self._levels[factor]

    def matching(self, factor: float, regional: bool = False) -> Matching:
        """The similarity at a level; a level never has more bins than the root of its voxels."""
        fixed, moving = self.level(factor)
        most = max(FEWEST_BINS, math.isqrt(fixed.data.size))
        options = self.options
        if options.estimator == "fine-histogram" and options.bins > most:
            options = options.replace(bins=most)
        return Matching(fixed, moving, options, self.kernels, self.threads, regional=regional)
