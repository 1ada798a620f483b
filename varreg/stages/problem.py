"""Registration problem: images in unit intensities, with levels computed on demand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np

from ..energy.points import MatchedPoints
from ..energy.rigidity import RigidMasks
from ..images.level_image import LevelImage, coarsened
from ..optimise.history import Energy
from ..options.options import Options
from ..options.pairs import pair_weights, similarity_names
from ..similarity import choice
from ..similarity.histogram_rows import row_stride
from ..similarity.similarity import Similarity
from ..similarity.weighted import weighted
from .pyramid import level_factors, node_shape

#: Fewest bins at a coarse level.
FEWEST_BINS = 16
#: Least number of voxels for multithreading; smaller evaluations take less time than starting a thread.
LEAST_VOXELS_FOR_THREADS = 2**16

#: A pair of a fixed and a moving image.
Levels = tuple[LevelImage, LevelImage]


@dataclass(frozen=True)
class Problem:
    """Images, masks, points and options of a registration, common to both stages.

    Parameters
    ----------
    fixed, moving : LevelImage
        Full-resolution images scaled to [0, 1].
    options : Options
    kernels : module
        The backend.
    threads : int
    further : tuple of (LevelImage, LevelImage)
        More pairs (fixed, moving) on the same grids.
    points : MatchedPoints, optional
        Matching points.
    rigid : RigidMasks, optional
        Masks of rigid structures.

    Attributes
    ----------
    energies : dict
        Cache of :func:`varreg.stages.levels.affine_energy`, energies of affine maps at the finest level.
    """

    fixed: LevelImage
    moving: LevelImage
    options: Options
    kernels: ModuleType
    threads: int
    further: tuple[Levels, ...] = ()
    points: MatchedPoints | None = None
    rigid: RigidMasks | None = None
    energies: dict[tuple[bytes, bool], Energy] = field(default_factory=dict, compare=False)
    _levels: dict[float, tuple[Levels, ...]] = field(default_factory=dict)
    _similarities: dict[tuple[float, tuple[str, ...]], Similarity] = field(default_factory=dict)

    def with_options(self, options: Options) -> Problem:
        """The same images with other options; cached similarities are kept if only defaults become explicit."""
        if options == self.options.decided(self.fixed.grid.dim):
            return replace(self, options=options)
        return replace(self, options=options, energies={}, _similarities={})

    @property
    def names(self) -> tuple[str, ...]:
        """Name of the similarity of each pair, as in the options."""
        return similarity_names(self.options, 1 + len(self.further))

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the pairs, with sum 1."""
        return pair_weights(self.options, 1 + len(self.further))

    @property
    def factors(self) -> tuple[float, ...]:
        """Coarsening factors of the levels, coarse to fine."""
        return level_factors(self.fixed.grid, self.options)

    def level(self, factor: float) -> Levels:
        """First pair of images at a coarsening factor, relative to the smallest fixed spacing."""
        return self.levels(factor)[0]

    def levels(self, factor: float) -> tuple[Levels, ...]:
        """All pairs of images at a coarsening factor."""
        if factor not in self._levels:
            missing = sorted({*self.factors, factor} - self._levels.keys())
            spacings = [f * float(self.fixed.grid.spacing.min()) for f in missing]
            pairs = []
            for pair in ((self.fixed, self.moving), *self.further):
                images = (coarsened(image, spacings, self.kernels, self.threads) for image in pair)
                pairs.append(list(zip(*images, strict=True)))
            self._levels.update(zip(missing, zip(*pairs, strict=True), strict=True))
        return self._levels[factor]

    def similarity(self, factor: float, names: str | Sequence[str]) -> Similarity:
        """Similarity at a level, from one name for all pairs or one name for each."""
        count = 1 + len(self.further)
        each = (names,) * count if isinstance(names, str) else tuple(names)
        if (factor, each) not in self._similarities:
            parts = [
                self._similarity(name, *pair)
                for name, pair in zip(each, self.levels(factor), strict=True)
            ]
            self._similarities[factor, each] = weighted(parts, self.weights)
        return self._similarities[factor, each]

    def _similarity(self, name: str, fixed: LevelImage, moving: LevelImage) -> Similarity:
        """Similarity of one pair, with at most as many bins as the square root of the number of voxels."""
        most = max(FEWEST_BINS, math.isqrt(fixed.data.size))
        options = self.options
        if options.estimator == "fine-histogram" and options.bins > most:
            options = options.replace(bins=most)
        nodes = node_shape(self.fixed.grid, options)
        share = 1.0 if fixed.counts is None else float(np.mean(fixed.counts))
        stride = row_stride(fixed.grid, nodes, options.samples_per_node, share)
        threads = self.threads if fixed.data.size >= LEAST_VOXELS_FOR_THREADS else 1
        return choice.similarity(name, fixed, moving, options, self.kernels, threads, stride=stride)
