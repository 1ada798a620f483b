"""Windows: sums over what is near every voxel, several images at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import correlate1d

from ..backends.arrays import Array
from ..backends.namespace import scipy_for
from ..backends.threads import each

#: A Gaussian window ends at this many standard deviations.
REACH = 2.0


def averages(images: Sequence[Array], sizes: Sequence[int], threads: int) -> list[Array]:
    """Means over boxes, with zeros beyond the border: a linear map that is its own adjoint.

    Parameters
    ----------
    images : sequence of array
    sizes : sequence of int
        Voxels of the box along each axis, odd.
    threads : int
    """

    filters = scipy_for(images[0], "ndimage")

    def average(image: Array) -> Array:
        for axis, size in enumerate(sizes):
            if size > 1:
                image = filters.uniform_filter1d(image, size, axis, image.dtype, "constant")
        return image

    return each(average, images, threads if isinstance(images[0], np.ndarray) else 1)


def blurred(image: Array, windows: Sequence[Array]) -> Array:
    """Weighted means over windows, with zeros beyond the border.

    Parameters
    ----------
    image : array
    windows : sequence of array
        Weights along each axis.
    """
    for axis, weights in enumerate(windows):
        image = correlate1d(image, weights, axis, image.dtype, "constant")
    return image


def gaussian(width: float) -> Array:
    """Weights of the neighbours along an axis, with sum 1.

    Parameters
    ----------
    width : float
        Standard deviation in voxels.
    """
    reach = math.ceil(REACH * width)
    weight = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return weight / weight.sum()
