"""Modules of the benchmarks."""

import importlib
import sys

import pytest

from .heads import FOLDER, NAMES


@pytest.fixture(scope="session")
def bench():
    """name -> module of the folder, which other tests never see."""
    sys.path.insert(0, str(FOLDER))
    before = {name: sys.modules.pop(name) for name in NAMES if name in sys.modules}
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in NAMES:
        sys.modules.pop(name, None)
    sys.modules.update(before)
