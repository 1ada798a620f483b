"""Intensities of an image brought to [0, 1]."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array


def unit_intensities(data: Array, limits: tuple[float, float] | None) -> Array:
    """Intensities scaled so that `limits` become 0 and 1, clipped beyond; float32, in C order."""
    low, high = limits if limits is not None else robust_range(data)
    if not 1e-30 < high - low < 1e30 or abs(low) > 1e30:  # beyond what float32 can subtract
        with np.errstate(over="ignore"):
            return np.clip((data.astype(np.float64) - low) / (high - low), 0, 1).astype(np.float32)
    scaled = np.subtract(data, np.float32(low), dtype=np.float32, order="C")
    scaled *= np.float32(1 / (high - low))
    return np.clip(scaled, 0, 1, out=scaled)


def robust_range(data: Array) -> tuple[float, float]:
    """(0.1 percentile of all voxels, 99.8 percentile of the foreground).

    Foreground is what lies above a hundredth of the range.  A strided sample serves large images.
    """
    sample = data.reshape(-1)
    sample = sample[:: max(1, sample.size // 500_000)]
    low = float(np.percentile(sample, 0.1))
    foreground = sample[sample > low + 0.01 * (float(sample.max()) - low)]
    high = float(np.percentile(foreground, 99.8)) if foreground.size else low
    if not high > low:
        low, high = float(data.min()), float(data.max())
    return low, high
