"""Descents of fine maps turn away from folds: they neither end at the bound nor spend their trials there."""

import numpy as np
import pytest

import varreg
from varreg.checks.extent import AT_THE_BOUND
from varreg.data.phantom import brain_phantom
from varreg.options.options import Options

from .compressions import compressed_pair, texture

#: The finest maps there are, with no more than the bound against folds: what descents used to jam on.
WITHOUT = dict(
    regularity="fine", smoothness_weight=0.02, smoothness_length=2.0, smoothness_order=2, volume_weight=0.0
)  # fmt: skip
BOUND = Options().smallest_determinant


def fine(moving, fixed, **changes):
    settings = dict(regularity="fine") | changes
    return varreg.solve(moving, fixed, affine=None, deformable=True, threads=1, **settings)


def trials_per_step(result):
    evaluations, iterations = np.sum([(k.evaluations, k.iterations) for k in result.levels], 0)
    return evaluations / iterations


def unlike(shape):
    """Images that no map brings together, so that similarity would fold everything."""
    if len(shape) == 2:
        return texture(shape, 1, 2.5), texture(shape, 2, 2.5)
    first, second = (brain_phantom(shape, np.random.default_rng(seed)) for seed in (1, 2))
    return first.t2, second.t1


@pytest.mark.parametrize("shape, width", [((96, 96), 12), ((48, 48, 48), 9)], ids=["2D", "3D"])
def test_a_strong_compression_is_recovered_off_the_bound(shape, width):
    moving, fixed, displacement, inner = compressed_pair(shape, 0.15, width)
    result = fine(moving, fixed)
    distance = np.linalg.norm(result.displacement - displacement, axis=0)[inner].mean()
    before = np.linalg.norm(displacement, axis=0)[inner].mean()
    assert before > 2 and distance < 0.45 * before
    assert 3 * BOUND < result.smallest_determinant < 0.35
    assert trials_per_step(result) <= 1.5


@pytest.mark.parametrize("shape", [(96, 96), (48, 48, 48)], ids=["2D", "3D"])
def test_no_descent_jams_where_it_used_to(shape):
    pair = unlike(shape)
    jammed = fine(*pair, **WITHOUT)
    assert jammed.smallest_determinant < 1.2 * BOUND  # else the next line would show nothing
    result = fine(*pair)
    assert result.smallest_determinant > AT_THE_BOUND * BOUND
    assert trials_per_step(result) <= 1.5
    assert all(level.iterations > 5 for level in result.levels)
