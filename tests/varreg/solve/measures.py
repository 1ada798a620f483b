"""Measures of a result against the known answer."""

import numpy as np

QUICK = dict(threads=1, iterations=(8, 5), levels=(2, 1))


def mean_error(result, pair):
    """Mean distance (voxels) to the known answer inside the head."""
    return float(np.linalg.norm(result.displacement - pair.displacement, axis=0)[pair.mask].mean())


def initial_error(pair):
    return float(np.linalg.norm(pair.displacement, axis=0)[pair.mask].mean())
