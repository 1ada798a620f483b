"""Local means over boxes and Gaussian windows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import correlate1d

from ..backends.arrays import Array
from ..backends.namespace import scipy_for
from ..backends.threads import each

#: Truncation of Gaussian windows, in standard deviations.
REACH = 2.0


def averages(images: Sequence[Array], sizes: Sequence[int], threads: int) -> list[Array]:
    """Means over boxes, with zero padding: a self-adjoint linear map.

    Parameters
    ----------
    images : sequence of array
    sizes : sequence of int
        Odd number of voxels of the box along each axis.
    threads : int

    Returns
    -------
    list of array
    """

    filters = scipy_for(images[0], "ndimage")

    def average(image: Array) -> Array:
        for axis, size in enumerate(sizes):
            if size > 1:
                image = filters.uniform_filter1d(image, size, axis, image.dtype, "constant")
        return image

    return each(average, images, threads if isinstance(images[0], np.ndarray) else 1)


def blurred(image: Array, windows: Sequence[Array]) -> Array:
    """Weighted means over separable windows, with zero padding.

    Parameters
    ----------
    image : array
    windows : sequence of array
        Weights along each axis.

    Returns
    -------
    array of the shape of the image
    """
    for axis, weights in enumerate(windows):
        image = correlate1d(image, weights, axis, image.dtype, "constant")
    return image


def gaussian(width: float) -> Array:
    """Truncated Gaussian window along an axis, with sum 1.

    Parameters
    ----------
    width : float
        Standard deviation in voxels.

    Returns
    -------
    (2 r + 1,) array
    """
    reach = math.ceil(REACH * width)
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return weight / weight.sum()
