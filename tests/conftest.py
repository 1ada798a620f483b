"""What all tests share: which varreg is tested, where real images are, how hypothesis draws."""

import importlib.util
import os
import signal
import sys
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]


def _prefer_installed_package() -> None:
    """Take the checkout off sys.path if a varreg is installed, so that this one is tested.

    ``python -m pytest`` puts the working directory first, which in a checkout would hide files
    missing from the installed package.  Without an installation the checkout is tested.
    """
    before = list(sys.path)
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != ROOT]
    if importlib.util.find_spec("varreg") is None:
        sys.path[:] = before
        if str(ROOT) not in map(os.path.abspath, before):
            sys.path.insert(0, str(ROOT))


_prefer_installed_package()
os.environ.setdefault("MPLBACKEND", "Agg")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # as in the background of a shell; the commands that tests interrupt would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples on every run: a red test stays red until it is mended.
hypothesis.settings.register_profile("varreg", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("varreg")


def pytest_report_header() -> str:
    spec = importlib.util.find_spec("varreg")
    return f"varreg under test: {Path(spec.origin).parent if spec and spec.origin else 'none'}"


@pytest.fixture(scope="session", autouse=True)
def compiled_kernels() -> None:
    """Kernels compiled once and kept on disk, for the processes that tests start, too."""
    import numpy as np

    import varreg
    from varreg.backends.numba import backend

    if backend.is_compiled():
        return
    rng = np.random.default_rng(0)
    moving, fixed = rng.random((2, 32, 32))
    for similarity in ("regional-mi", "lncc"):
        varreg.solve(moving, fixed, similarity=similarity, iterations=2, threads=1, progress=False)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real images: $VARREG_DATA, else ../shared/data beside the checkout, else skip."""
    named = os.environ.get("VARREG_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        where = f"VARREG_DATA={named} is not a folder" if named else "VARREG_DATA is not set"
        pytest.skip(f"real images are not part of the repository, and {where}")
    return folder
