"""Slices, solvers that are not waited for, and the end of the worker processes."""

import functools

import numpy as np
import pytest

import varreg
from varreg.batch import executor as parallel
from varreg.batch.processes import shutdown_idle_pool
from varreg.data.phantom import deformed_pair


@pytest.fixture(scope="session")
def slices():
    """Five pairs, not all of one size."""
    shapes = [(64, 64), (64, 70), (72, 60), (64, 64), (66, 66)]
    made = [deformed_pair(s, np.random.default_rng(k)) for k, s in enumerate(shapes)]
    return [(pair.moving, pair.fixed) for pair in made]


@pytest.fixture
def solved(monkeypatch):
    """Replace ``solve`` by one that only says what it was asked for."""

    def replace(function):
        monkeypatch.setattr(parallel, "solve", functools.wraps(varreg.solve)(function))

    replace(lambda moving, fixed, **given: (moving, fixed, given))
    return replace


@pytest.fixture(scope="module")
def pool_ends():
    """The tests below share two warm processes; they are gone for the tests of other files."""
    yield
    shutdown_idle_pool()
