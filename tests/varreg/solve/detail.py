"""A volume pair whose map has as much detail as a cortex: many small deformations, one after the other."""

import numpy as np

from varreg.data.phantom.anatomy import brain_labels
from varreg.data.phantom.pairs import BLUR, T1, T2, acquire, contrast
from varreg.data.phantom.random_map import sample, smooth_field, voxel_grid


def detailed_pair(shape, seed, count=4, rms=0.7, length=3.0):
    """(moving, fixed): two contrasts of a brain, one seen through `count` deformations of a length in voxels."""
    rng = np.random.default_rng(seed)
    labels = brain_labels(shape, rng)
    points = voxel_grid(shape).astype(float)
    for _ in range(count):
        field = smooth_field(shape, rms, length, rng)
        points = points + np.stack([sample(component, points) for component in field])
    fixed = acquire(contrast(labels, T1, BLUR), labels > 0, 0.08, 0.02, rng)
    anatomy = sample(contrast(labels, T2, BLUR), points).astype(np.float32)
    head = sample(labels, points, order=0) > 0
    return acquire(anatomy, head, 0.08, 0.02, rng), fixed
