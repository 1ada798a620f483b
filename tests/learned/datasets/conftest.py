"""A dataset of several sources."""

import pytest


@pytest.fixture(scope="session")
def mixed():
    from learned.data.datasets import PairDataset  # needs PyTorch

    from .scenes import sources

    return PairDataset(sources(), length=12, seed=5)
