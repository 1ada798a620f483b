"""A checkpoint."""

import pytest


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint.safetensors"


@pytest.fixture
def saved(path):
    from learned.checkpoint import save_checkpoint  # needs PyTorch

    from .states import CONFIG, POSITION, advance, training

    state = training()
    advance(state, 3)
    save_checkpoint(path, state, CONFIG, POSITION)
    return path
