"""Correlations of images in patches around voxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Float = NDArray[np.float32]
#: Variance in a patch below which it shows nothing, in units of the image's own.
FLAT = 1e-4


class Correlations:
    """Of a target and several images, in the cube around each of some voxels.

    Parameters
    ----------
    target : (*S) float array
    images : sequence of (*S) float arrays
        NaN is taken for the image's mean.
    where : (v, d) array
        The voxels.
    radius : int
        The cube has 2 radius + 1 voxels along each axis; beyond the border the image is mirrored.

    Attributes
    ----------
    with_target : (n, v) float32 array
        0 where either patch is flat.
    between : dict of (i, j) to (v,) float32 array
        Of two of the images, i > j.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    >>> near = Correlations(image, [image, 1 - 2 * image], np.array([[4, 4]]), 2)
    >>> near.with_target[:, 0].round(3).tolist(), round(float(near.between[1, 0][0]), 3)
    ([1.0, -1.0], -1.0)
    """

    def __init__(
        self, target: Float, images: Sequence[Float], where: NDArray[np.int_], radius: int
    ) -> None:
        low = np.maximum(where.min(axis=0) - 2 * radius, 0)
        high = where.max(axis=0) + 2 * radius + 1
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        self._index, self._size = tuple((where - low).T), 2 * radius + 1
        units = [_standard(each[box]) for each in (target, *images)]
        means = [self._mean(each) for each in units]
        scales = [self._scale(each, mean) for each, mean in zip(units, means, strict=True)]

        def correlation(i: int, j: int) -> Float:
            covariance = self._at(uniform_filter(units[i] * units[j], self._size))
            covariance -= self._at(means[i]) * self._at(means[j])
            return np.asarray(np.clip(covariance * scales[i] * scales[j], -1, 1), np.float32)

        n = len(images)
        self.with_target = np.stack([correlation(0, k + 1) for k in range(n)])
        self.between = {(i, j): correlation(i + 1, j + 1) for i in range(n) for j in range(i)}

    def _mean(self, unit: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(uniform_filter(unit, self._size))

    def _at(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        return np.asarray(values[self._index])

    def _scale(
        self, unit: NDArray[np.floating], mean: NDArray[np.floating]
    ) -> NDArray[np.floating]:
        """1 / standard deviation of each patch; 0 of one that is flat."""
        variance = self._at(uniform_filter(unit * unit, self._size)) - self._at(mean) ** 2
        flat = variance < FLAT
        return np.where(flat, 0, 1 / np.sqrt(np.where(flat, 1, variance)))


def _standard(image: Float) -> NDArray[np.floating]:
    """Mean 0 and variance 1, in double precision: variances are differences."""
    values = image.astype(np.float64)
    mean, spread = np.nanmean(values), np.nanstd(values)
    return np.nan_to_num((values - mean) / (spread if spread > 0 else 1.0))
