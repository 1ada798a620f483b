"""What similarities of the warped image share: warp, weigh, and push the slopes back to the nodes."""

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
    """A similarity S of the fixed image and the warped moving one, each of C channels.

    A subclass says what the channels are, and computes S and its derivatives by the warped values
    and weights; here they become a derivative by the positions.

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
    inside : (planes, rows, n) array
        Weights of the fixed voxels: without weights of their own 1 for those that count, else 0.
    count : float
        Their sum, N_F.
    warped : (C, planes, rows, n) array
        Moving values; a subclass may write to them.
    weight : (planes, rows, n) array
        w, in [0, 1]: in view, in the moving mask, and among those that count.
    total : float
        W, the sum of the weights.
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
        """What is compared of an image, C times (*S), with values in [0, 1]: its intensities."""
        return [image.data]

    @abstractmethod
    def prepare(self, moving: Array, mask: Array) -> None:
        """Whatever does not depend on the map, once.

        Parameters
        ----------
        moving : (C, p, q, r) array
            Channels of the moving image.
        mask : (p, q, r) array
            Their weights; size 0 for none.
        """

    @abstractmethod
    def measure(self) -> float:
        """S, from ``warped``, ``weight`` and ``total``; something is in view."""

    @abstractmethod
    def slopes(self, by_weight: bool) -> tuple[Iterator[Array], Array | None]:
        """Derivatives of what :meth:`measure` returned last.

        Returns
        -------
        values : iterator over (planes, rows, n) arrays
            dS/d(warped value), channel by channel.
        weights : (planes, rows, n) array or None
            dS/dw; None unless `by_weight`.
        """

    @property
    def everything_in_view(self) -> bool:
        """Whether the weights are known to be those of the fixed mask, with no slope: rows are marked on the CPU only."""
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
