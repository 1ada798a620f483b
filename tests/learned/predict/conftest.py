"""A network that ships, in a folder of its own."""

import pytest


@pytest.fixture(scope="session")
def content(tmp_path_factory):
    """The bytes of a file with a small network."""
    from learned.weights import save_model  # needs PyTorch

    from .pairs import card, shaken

    path = tmp_path_factory.mktemp("network") / "small-2d.safetensors"
    save_model(path, shaken(), card())
    return path.read_bytes()


@pytest.fixture
def shipped(tmp_path, monkeypatch, content):
    """A folder of weights with one small network."""
    from learned import weights

    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    (tmp_path / "small-2d.safetensors").write_bytes(content)
    return tmp_path
