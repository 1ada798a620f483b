"""Pairs whose answer is known."""

import numpy as np
import pytest

from varreg.data.phantom import deformed_pair


@pytest.fixture(scope="session")
def plane():
    return deformed_pair((96, 96), np.random.default_rng(0))


@pytest.fixture(scope="session")
def bent():
    """No affine part; odd sizes."""
    return deformed_pair((63, 70), np.random.default_rng(1), affine=False, displacement_rms=1.5)


@pytest.fixture(scope="session")
def volume():
    return deformed_pair((40, 44, 36), np.random.default_rng(2))
