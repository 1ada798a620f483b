"""A saved result."""

import pytest

from .results import slice_of_a_volume


@pytest.fixture
def saved(tmp_path):
    slice_of_a_volume().save(tmp_path / "out")
    return tmp_path / "out"
