"""A small file of weights."""

import pytest


@pytest.fixture
def saved(tmp_path):
    from learned.weights import save_model  # needs PyTorch

    from .files import CARD, Small

    save_model(tmp_path / "small.safetensors", Small(), CARD)
    return tmp_path / "small.safetensors"
