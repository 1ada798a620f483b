"""Small sources of pairs."""

import numpy as np

from learned.data.painted_sources import LabelSource, PhantomSource
from learned.data.sources import RealSource
from learned.data.volumes import Volume

SHAPE = (40, 44)


def head(seed=0, shape=(40, 44, 36)):
    """Labels of a round head: skin, bone, brain of two sides, ventricle, a nucleus on one side."""
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in shape]
    x, y, z = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt(x**2 + y**2 + z**2) + 0.02 * np.random.default_rng(seed).standard_normal()
    labels = np.zeros(shape, np.int16)
    for size, number in ((0.9, 507), (0.8, 511), (0.7, 3), (0.5, 2), (0.2, 4)):
        labels[radius < size] = number
    labels[(x > 0) & (labels == 2)] = 41
    labels[(x > 0.1) & (y > 0.2) & (labels > 0) & (labels < 500)] = 10  # no flip is a symmetry
    return labels


def volume(name, seed=0):
    labels = head(seed)
    rng = np.random.default_rng(seed)
    tables = [dict(zip(np.unique(labels), rng.uniform(0.1, 1, 8), strict=True)) for _ in range(3)]
    images = [sum((labels == k) * v * (k > 0) for k, v in table.items()) for table in tables]
    return Volume(name, ("T1", "T2", "FLAIR"), np.array(images, np.float32))


def sources(shape=SHAPE):
    return [
        (PhantomSource(range(3), shape), 2.0),
        (LabelSource({"l1": head(1), "l2": head(2)}, shape, axes=(0, 1, 2)), 1.0),
        (RealSource([volume("r1", 1), volume("r2", 2)], shape), 1.0),
    ]
