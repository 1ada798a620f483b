"""The background of an image: the dominant intensity of its border."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array

#: Number of histogram bins of the border intensities in [0, 1].
INTERVALS = 32
#: Smallest fraction of the border in one bin for a background.
EVEN = 0.3


def background_value(data: Array) -> float | None:
    """Intensity of the background, dark or bright: that of most of the border.

    Parameters
    ----------
    data : (*S) array
        Intensities in [0, 1].

    Returns
    -------
    float or None
        None if the border is not uniform, as where the field of view truncates the anatomy.

    Examples
    --------
    >>> slide = np.ones((8, 8), np.float32)
    >>> slide[3:5, 3:5] = 0.2
    >>> background_value(slide)
    1.0
    """
    ends = [data.take((0, -1), axis).ravel() for axis in range(data.ndim)]
    border = np.concatenate(ends)
    interval = np.minimum((border * INTERVALS).astype(int), INTERVALS - 1)
    most = int(np.bincount(interval, minlength=INTERVALS).argmax())
    chosen = border[interval == most]
    return float(np.median(chosen)) if len(chosen) >= EVEN * len(border) else None


def foreground_weight(data: Array) -> Array:
    """Distance of every voxel's intensity from the background, (*S); the intensity itself if there is no background."""
    value = background_value(data)
    return data if value is None else np.abs(data - data.dtype.type(value))
