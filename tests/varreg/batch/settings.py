"""Quick settings, and results that must be the same."""

import multiprocessing

import numpy as np
import pytest

import varreg
from varreg.backends.numba import histogram
from varreg.backends.numba.cache import cache_folder

#: Worker processes load what was compiled once; where nothing can be kept, threads do the work.
needs_cache = pytest.mark.skipif(
    cache_folder(histogram.backprojections) is None,
    reason="no folder for compiled kernels can be written",
)
QUICK = dict(levels=(2,), iterations=4, affine_iterations=4, progress=False)


def assert_same(result, wanted):
    np.testing.assert_array_equal(result.displacement, wanted.displacement)
    np.testing.assert_array_equal(result.warped.data, wanted.warped.data)
    assert result.energy == wanted.energy and result.start_energy == wanted.start_energy
    assert result.history == wanted.history


def in_processes(pairs, **arguments):
    return varreg.solve_batch(pairs, processes=2, **{**QUICK, **arguments})


def worker_ids():
    return {process.pid for process in multiprocessing.active_children()}
