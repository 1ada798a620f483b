"""Pairs, their registrations and their certificates."""

import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair

from .settings import QUICK, SMALL


@pytest.fixture(scope="session")
def pairs():
    return {
        2: deformed_pair((64, 71), np.random.default_rng(1)),
        3: deformed_pair((36, 40, 32), np.random.default_rng(2)),
    }


@pytest.fixture(scope="session")
def results(pairs):
    return {d: varreg.solve(p.moving, p.fixed, **QUICK) for d, p in pairs.items()}


@pytest.fixture(scope="session")
def certificates(pairs, results):
    return {d: varreg.certify(p.moving, p.fixed, results[d], **SMALL) for d, p in pairs.items()}
