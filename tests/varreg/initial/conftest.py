"""Pairs whose answer is known, and their registration without a start."""

import numpy as np
import pytest

from varreg.data.phantom import deformed_pair


@pytest.fixture(scope="session")
def pairs():
    return {
        2: deformed_pair((64, 71), np.random.default_rng(1)),
        3: deformed_pair((36, 40, 32), np.random.default_rng(2)),
    }
