"""Small good files of several types."""

import pytest

from .image_files import contents


@pytest.fixture(scope="session")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return folder, contents(folder)
