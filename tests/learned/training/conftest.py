"""A run that was never interrupted."""

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run from start to end."""
    from .runs import run, tiny  # needs PyTorch

    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, run(tiny(folder))
