"""The background of an image: what most of its border shows."""

from __future__ import annotations

import numpy as np

from ..backends.arrays import Array

#: Intervals of [0, 1] that values of the border are counted in.
INTERVALS = 32
#: Fraction of the border that must lie in one interval to be a background.
EVEN = 0.3


def background_value(data: Array) -> float | None:
    """The value of the background: of most of the border, dark or bright.

    Parameters
    ----------
    data : (*S) array
        Intensities in [0, 1].

    Returns
    -------
    float or None
        None if the border is not even: the field of view cuts off what is shown.

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
    """Distance of every voxel's intensity from the background, (*S); the intensity itself without one."""
    value = background_value(data)
    return data if value is None else np.abs(data - data.dtype.type(value))
