"""What was compiled from other sources is not used."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.backends.numba import cache, histogram

CHECKOUT = str(Path(varreg.__file__).parents[1])


def kernel(folder):
    return SimpleNamespace(stats=SimpleNamespace(cache_path=folder and str(folder)))


def test_an_index_of_other_sources_is_dropped_and_that_of_others_is_kept(tmp_path):
    ours, foreign = (
        tmp_path / "histogram.backprojections-1.py311.nbi",
        tmp_path / "elsewhere.f-1.py311.nbi",
    )
    for stamp, kept in ((None, False), ("0" * 64, False), (cache.sources_stamp(), True)):
        ours.write_bytes(b"index")
        foreign.write_bytes(b"index")
        if stamp is not None:
            (tmp_path / cache.STAMP).write_text(stamp)
        cache.drop_stale(kernel(tmp_path))
        assert ours.exists() == kept
        assert foreign.exists()
        assert (tmp_path / cache.STAMP).read_text() == cache.sources_stamp()


def test_without_a_cache_nothing_happens(tmp_path):
    cache.drop_stale(kernel(None))
    cache.drop_stale(kernel(tmp_path / "missing"))
    (tmp_path / "file").write_text("")
    cache.drop_stale(kernel(tmp_path / "file" / "below"))  # cannot be made: no error


def test_the_cache_in_use_carries_the_stamp_of_the_sources():
    assert cpu.is_compiled() in (True, False)
    folder = cache.cache_folder(histogram.backprojections)
    if folder is None:
        pytest.skip("no folder for compiled kernels can be written")
    assert (folder / cache.STAMP).read_text() == cache.sources_stamp()


def test_compiling_is_announced_once_and_only_where_something_is_compiled(tmp_path):
    code = """
import numpy as np
from varreg.backends.numba.backend import average_axis
for kind in (np.float32, np.float64):
    average_axis(np.ones((4, 4), kind), 0, np.array([0, 2]), np.full((2, 2), kind(0.5)), 1)
"""
    surroundings = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": CHECKOUT}
    command = [sys.executable, "-c", code]
    said = [
        subprocess.run(command, env=surroundings, check=True, capture_output=True, text=True).stderr
        for _ in range(2)
    ]
    assert said[0].count("varreg: compiling kernels") == 1
    assert "compiling" not in said[1]


AVERAGE = """
import sys
import numpy as np
from varreg.backends.numba.backend import average_axis
out = average_axis(np.ones((4, 4)), 0, np.array([0, 2]), np.full((2, 2), 0.5), 1)
assert (out == 1).all()
"""


def averaged(folder, before="", **variables):
    """What a process says that compiles or loads one kernel."""
    surroundings = {
        **os.environ,
        "NUMBA_CACHE_DIR": str(folder),
        "PYTHONPATH": CHECKOUT,
        **variables,
    }
    ended = subprocess.run(
        [sys.executable, "-c", before + AVERAGE], env=surroundings, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


DAMAGE = {
    "empty": lambda b: b"",
    "cut short": lambda b: b[: len(b) // 2],
    "zeros": lambda b: bytes(len(b)),
}


def test_a_damaged_cache_is_dropped_and_written_anew(tmp_path):
    averaged(tmp_path)
    for suffix, damage in ((".nbi", "cut short"), (".nbc", "zeros"), (".nb?", "empty")):
        files = [*tmp_path.rglob(f"averaging.*{suffix}")]
        files += tmp_path.rglob(cache.STAMP) if damage == "empty" else []
        assert files
        for path in files:
            path.write_bytes(DAMAGE[damage](path.read_bytes()))
        assert averaged(tmp_path).count("\n") == 1  # the announcement: it compiles
    assert averaged(tmp_path) == ""


FULL = """
import errno, os
from numba.core.caching import IndexDataCacheFile
def full(*arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
IndexDataCacheFile._save_data = full
"""


def test_a_full_disk_costs_the_cache_and_not_the_answer(tmp_path):
    said = averaged(tmp_path, FULL)
    assert said.count("cannot be cached") == 1 and "No space left" in said
    assert not list(tmp_path.rglob("*.nb?"))


NOWHERE = """
from numba.core import caching
def nowhere(self):
    raise OSError("read-only file system")
caching._CacheLocator.ensure_cache_path = nowhere
"""


def test_no_folder_that_can_be_written_costs_the_cache_and_not_the_answer(tmp_path):
    """As in a container that is read-only, for a user without a home."""
    said = averaged(tmp_path, NOWHERE)
    assert said.count("\n") == 1 and "cannot be cached" in said and "NUMBA_CACHE_DIR" in said
    code = NOWHERE + "from varreg.cli import main; main(['doctor'])"
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": CHECKOUT},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0 and "cache: NONE" in ended.stdout, ended.stderr
