"""Local correlations of images in patches around voxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

Float = NDArray[np.floating]
#: Smallest variance of a non-constant patch, relative to that of the image.
FLAT = 1e-4


def correlations(
    target: NDArray[np.float32],
    images: Sequence[NDArray[np.float32]],
    where: NDArray[np.bool_],
    radius: int,
) -> Float:
    """Correlations of a target with several images, in the cubic patch around each of the given voxels.

    Parameters
    ----------
    target : (*S) float array
    images : sequence of (*S) float arrays
        NaN is replaced by the image's mean.
    where : (*S) bool array
        The v voxels; at least one.
    radius : int
        The patch has 2 radius + 1 voxels along each axis; images are mirrored at the border.

    Returns
    -------
    (n, v) array
        0 where either patch is constant.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((9, 9)).astype(np.float32)
    >>> centre = np.zeros((9, 9), bool)
    >>> centre[4, 4] = True
    >>> correlations(image, [image, 1 - 2 * image], centre, 2)[:, 0].round(3).tolist()
    [1.0, -1.0]
    """
    index = np.argwhere(where)
    low, high = np.maximum(index.min(axis=0) - radius, 0), index.max(axis=0) + radius + 1
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    size, inside = 2 * radius + 1, where[box]

    def local(values: Float) -> Float:
        return np.asarray(uniform_filter(values, size)[inside])

    here = _standard(target[box])
    mean = local(here)
    scale = _inverse_deviation(local(here * here) - mean**2)
    found = []
    for image in images:
        other = _standard(image[box])
        its_mean = local(other)
        its_scale = _inverse_deviation(local(other * other) - its_mean**2)
        found.append((local(here * other) - mean * its_mean) * scale * its_scale)
    return np.clip(np.stack(found), -1, 1)


def _standard(image: NDArray[np.float32]) -> Float:
    """Standardise to mean 0 and variance 1, in double precision, as variances are computed from differences."""
    values = image.astype(np.float64)
    mean, spread = np.nanmean(values), np.nanstd(values)
    return np.nan_to_num((values - mean) / (spread if spread > 0 else 1.0))


def _inverse_deviation(variance: Float) -> Float:
    flat = variance < FLAT
    return np.where(flat, 0, 1 / np.sqrt(np.where(flat, 1, variance)))
