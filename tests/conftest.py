"""What all tests share: which varreg is tested, where real images are, how hypothesis draws."""

import importlib.util
import os
import signal
import sys
import tempfile
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
# Threads of PyTorch sleep while they wait: tests run in several processes, whose threads would otherwise spin
# against each other (ten times the seconds on two busy cores).  Read when PyTorch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# no passed self-test is known: a GPU of the machine is used by no test that does not ask for it
os.environ["VARREG_CACHE_DIR"] = os.path.join(tempfile.gettempdir(), "varreg-tests-without-gpu")
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
    """Kernels compiled once, before the first test, also for the processes that tests start.

    In float32 by a registration; in float64, in which derivatives are checked, by its energy.  Every second
    process of a run begins with the other half, which it then leaves in the cache for its neighbour.
    """
    import numpy as np

    import varreg
    from varreg.backends.numba import backend
    from varreg.similarity.choice import similarity

    from .varreg.problems import deformable_problem, pair, state

    options = [varreg.Options(similarity=name) for name in ("regional-mi", "lncc")]

    def single() -> None:
        moving, fixed = np.random.default_rng(0).random((2, 32, 32))
        for each in options:
            varreg.solve(moving, fixed, options=each, iterations=2, threads=1, progress=False)

    def double() -> None:
        objective, z, _ = deformable_problem(shape := (20, 23))
        images = pair(shape, (1.0, 1.0))
        for each in options:
            name = each.similarity
            objective.similarity = similarity(name, *images, each, backend, 1, np.float64)
            objective.evaluate(state(objective, z)).gradient()

    odd = os.environ.get("PYTEST_XDIST_WORKER", "gw0")[-1] in "13579"
    for compiled in (double, single) if odd else (single, double):
        compiled()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real images: $VARREG_DATA, else ../shared/data beside the checkout, else skip."""
    named = os.environ.get("VARREG_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        where = f"VARREG_DATA={named} is not a folder" if named else "VARREG_DATA is not set"
        pytest.skip(f"real images are not part of the repository, and {where}")
    return folder
