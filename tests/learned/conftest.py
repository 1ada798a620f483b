"""Networks are tested where PyTorch is; elsewhere these modules are skipped, with the reason."""

import importlib.util
from pathlib import Path

import pytest

MISSING = [
    name
    for name in ("torch", "safetensors", "jsonargparse")
    if importlib.util.find_spec(name) is None
]


class Skipped(pytest.Module):
    """Test module that is not imported."""

    def collect(self):
        pytest.skip(f"learned needs {' and '.join(MISSING)}", allow_module_level=True)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    return Skipped.from_parent(parent, path=module_path) if MISSING else None
