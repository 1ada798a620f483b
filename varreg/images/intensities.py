"""Intensities of an image scaled to [0, 1]."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array

#: Percentage of the voxels at either end that may be outliers, and the distance from all other intensities, in
#: multiples of their range, above which they are.  In T1 head images with vessels and fat the brightest voxel is at
#: most 2.9 ranges above.
RARE, FAR = 0.2, 3.0


def unit_intensities(data: Array, limits: tuple[float, float] | None) -> Array:
    """Intensities scaled so that `limits` map to 0 and 1, clipped to [0, 1]; float32, in C order."""
    low, high = limits if limits is not None else robust_range(data)
    if not 1e-30 < high - low < 1e30 or abs(low) > 1e30:  # the range of float32
        with np.errstate(over="ignore"):
            return np.clip((data.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)
    scaled = np.subtract(data, np.float32(low), dtype=np.float32, order="C")
    scaled *= np.float32(1 / (high - low))
    return np.clip(scaled, 0, 1, out=scaled)


def by_weight(data: Array, weight: Array) -> Array:
    """Resample voxels in proportion to their weights, so that plain percentiles of the result are weighted ones.

    Parameters
    ----------
    data : (*S) array
    weight : (*S) array
        At least 0, not all 0.

    Examples
    --------
    >>> by_weight(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 0.0, 0.25, 0.25])).tolist()
    [1.0, 1.0, 3.0]
    """
    values, weights = data[weight > 0], weight[weight > 0].astype(np.float64)
    upto = np.cumsum(weights)
    middle = (np.arange(len(values)) + 0.5) * (upto[-1] / len(values))
    return np.asarray(values[np.searchsorted(upto, middle)])


def robust_range(data: Array) -> tuple[float, float]:
    """(0.1 percentile of all voxels, 99.8 percentile of the foreground), robust to single outlying voxels.

    The foreground is every voxel above a hundredth of the range.  Large images are subsampled with a stride.
    """
    sample = data.reshape(-1)
    sample = _without_outliers(sample[:: max(1, sample.size // 500_000)])
    low = float(np.percentile(sample, 0.1))
    foreground = sample[sample > low + 0.01 * (float(sample.max()) - low)]
    high = float(np.percentile(foreground, 99.8)) if foreground.size else low
    if not high > low:
        low, high = float(data.min()), float(data.max())
    return low, high


def _without_outliers(sample: Array) -> Array:
    """Remove values far from nearly all others, so that a hot pixel does not determine the foreground.

    By ranks: the set of inlying values does not depend on the distance of the outliers.
    """
    low = float(np.percentile(sample, RARE, method="higher"))
    high = float(np.percentile(sample, 100 - RARE, method="lower"))
    if not high > low:  # the foreground is below the percentiles
        return sample
    beyond = FAR * (high - low)
    least, most = float(sample.min()), float(sample.max())
    if least >= low - beyond and most <= high + beyond:
        return sample
    return sample[(sample >= low - beyond) & (sample <= high + beyond)]
