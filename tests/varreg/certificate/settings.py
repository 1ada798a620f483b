"""Quick settings, and starts of every kind."""

import numpy as np
import pytest

both_dimensions = pytest.mark.parametrize("dimension", [2, 3])
QUICK = dict(threads=1, iterations=(6, 4), levels=(2, 1), affine_iterations=8)
SMALL = dict(threads=1, iterations=3)


def starts(found, result):
    rng = np.random.default_rng(3)
    folded = found.displacement.copy()
    folded[(0, *(n // 2 for n in found.fixed.shape))] += 12
    return {
        "nothing": np.zeros_like(found.displacement),
        "truth": found.displacement,
        "noise": found.displacement + 0.3 * rng.normal(size=found.displacement.shape),
        "folded": folded,
        "wrong": -found.displacement,
        "affine": result.affine,
    }
