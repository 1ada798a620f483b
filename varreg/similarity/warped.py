"""Base class of similarities of the warped image: warping, weighting, and backprojection of derivatives to the nodes."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from types import ModuleType

import numpy as np

from ..backends.arrays import Array, Warped, Workspace
from ..backends.later import Later, known
from ..images.level_image import LevelImage
from ..options.options import Options
from .similarity import Measured, Similarity
from .volumes import as_volume, moving_image


class WarpedSimilarity(Similarity):
    """A similarity S of the fixed image and the warped moving image, each of C channels.

    Subclasses define the channels, and compute S and its derivatives with respect to the warped values
    and weights; this class backprojects them to the nodes.

    Parameters
    ----------
    fixed, moving : LevelImage
        The two images at this level, in unit intensities.
    options : Options
    kernels : module
        The backend.
    threads : int
    dtype : dtype
        Precision of images and maps (float32; float64 for derivative checks).

    Attributes
    ----------
    fixed : (C, planes, rows, n) array
        Channels of the fixed image.
    inside : (planes, rows, n) array
        Weights of the fixed voxels; of a binary mask 1 inside and 0 outside.
    count : float
        N_F, the sum of these weights.
    warped : (C, planes, rows, n) array
        Channels of the warped image; subclasses may overwrite them.
    weight : (planes, rows, n) array
        w, in [0, 1]: field of view times moving mask times fixed mask.
    total : float
        W, the sum of w.
    """

    def __init__(
        self,
        fixed: LevelImage,
        moving: LevelImage,
        options: Options,
        kernels: ModuleType,
        threads: int,
        dtype: np.dtype | type = np.float32,
    ) -> None:
        super().__init__(fixed.grid, moving.grid, kernels, threads, dtype)
        cubic = options.interpolation == "cubic"
        here, there = (
            np.stack([as_volume(channel) for channel in self.channels(image)]).astype(dtype)
            for image in (fixed, moving)
        )
        images = [moving_image(channel, moving.mask, (0, 1), cubic) for channel in there]
        self.moving = [kernels.resident(image) for image in images]
        self.fixed = kernels.resident(here)
        counts = np.ones(fixed.data.shape, bool) if fixed.counts is None else fixed.counts
        self.inside = kernels.resident(as_volume(counts).astype(dtype))
        self.count = float(counts.sum(dtype=np.float64))
        self.warped = np.empty_like(self.fixed)
        self.weight = np.empty_like(self.inside)
        self.total = math.nan
        self._buffers = kernels.resident(Warped.empty(self.inside.shape, self.dtype))
        self._workspace = Workspace()
        self.prepare(there, images[0].mask)

    def channels(self, image: LevelImage) -> Sequence[Array]:
        """Compared channels of an image, C arrays (*S) with values in [0, 1]; by default its intensities."""
        return [image.data]

    @abstractmethod
    def prepare(self, moving: Array, mask: Array) -> None:
        """Precompute quantities that do not depend on the map; called once.

        Parameters
        ----------
        moving : (C, p, q, r) array
            Channels of the moving image.
        mask : (p, q, r) array
            Weights of the moving voxels; size 0 without a mask.
        """

    @abstractmethod
    def measure(self) -> float:
        """S from ``warped``, ``weight`` and ``total``; called only if ``total`` is positive."""

    @abstractmethod
    def slopes(self, by_weight: bool) -> tuple[Iterator[Array], Array | None]:
        """Derivatives of the last value of :meth:`measure`.

        Returns
        -------
        values : iterator over (planes, rows, n) arrays
            dS/d(warped value), channel by channel.
        weights : (planes, rows, n) array or None
            dS/dw; None unless `by_weight`.
        """

    @property
    def everything_in_view(self) -> bool:
        """Whether all rows are marked as full, so that the weights are constant; rows are marked on the CPU only."""
        full = self._buffers.full
        return isinstance(full, np.ndarray) and bool(full.all())

    def _measure(self) -> Later[Measured]:
        for moving, values in zip(self.moving, self.warped, strict=True):
            buffers = self._buffers._replace(value=values)
            self.kernels.warp(moving, *self.place, buffers, self.threads)
        full = self._buffers.full.reshape(*self.weight.shape[:2], 1)
        np.copyto(self.weight, self._buffers.weight)
        np.copyto(self.weight, 1, where=full.astype(bool))
        self.weight *= self.inside
        self.total = float(self.weight.sum(dtype=np.float64))
        self.in_view = self.total / self.count if self.count else 0.0
        return known(((self.measure() if self.total > 0 else 0.0), self.in_view))

    def _gradient(self) -> Later[Array]:
        gathered = np.zeros_like(self.place[1], dtype=np.float64)
        if not self.total > 0:
            return known(gathered.astype(self.dtype))
        values, weights = self.slopes(not self.everything_in_view)
        if weights is not None:
            np.multiply(weights, self.inside, out=self._buffers.weight_slope)
        for moving, slope in zip(self.moving, values, strict=True):
            self._buffers.slope[...] = slope
            place = moving, *self.place, self._buffers
            gathered += self.kernels.backproject(*place, self._workspace, self.threads)
            self._buffers.weight_slope[...] = 0  # the weight is the same for all channels
        return known(gathered.astype(self.dtype))
