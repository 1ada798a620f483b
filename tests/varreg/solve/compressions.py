"""Maps that compress strongly, and images with nothing in common: what drives descents towards folds."""

import numpy as np
from scipy.ndimage import gaussian_filter

from varreg.data.phantom.random_map import sample, voxel_grid


def texture(shape, seed, length):
    """Smooth noise in [0, 1] that varies over a length in voxels."""
    image = gaussian_filter(np.random.default_rng(seed).normal(size=shape), length)
    return (image - image.min()) / np.ptp(image)


def compressed_pair(shape, determinant, width):
    """(moving, fixed, displacement, inner): a ball that is shrunk to `determinant` of its volume at its centre.

    Two inverted contrasts of a texture; `inner` are the voxels within `width` of the centre.
    """
    dimension, grid = len(shape), voxel_grid(shape).astype(float)
    offset = grid - (np.reshape(shape, (-1, *(1,) * dimension)) - 1) / 2
    distance = np.linalg.norm(offset, axis=0)
    shrinking = 1 - determinant ** (1 / dimension)
    displacement = -shrinking * offset * np.exp(-(distance**2) / (2 * width**2))
    image = texture(shape, 0, 1.5) + texture(shape, 1, 4.0)
    fixed = sample(image, grid + displacement, order=3)
    return image.max() - image, fixed, displacement, distance < width
