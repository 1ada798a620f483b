"""A group whose mean is known: one head, bent by pairs of opposite displacements."""

import numpy as np
from scipy.ndimage import map_coordinates

from varreg.data.phantom import brain_phantom
from varreg.data.phantom.random_map import random_invertible_map

SHAPE = (64, 64)
ROUNDS = ("rigid", "deformable", "deformable")


def group(pairs=2, seed=0):
    """The head, its images and their labels."""
    random = np.random.default_rng(seed)
    head = brain_phantom(SHAPE, random, noise=0.0, bias=0.0)
    images, labels = [], []
    for k in range(pairs):
        moved, _ = random_invertible_map(SHAPE, np.random.default_rng(k + 1), 1.5, 10, False)
        bend = moved - np.indices(SHAPE)
        for sign in (1, -1):
            at = np.indices(SHAPE) + sign * bend
            noise = 0.01 * random.normal(size=SHAPE)
            images.append((map_coordinates(head.t1, at, order=1) + noise).astype(np.float32))
            labels.append(map_coordinates(head.labels, at, order=0))
    return head, images, labels
