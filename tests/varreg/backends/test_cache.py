"""What was compiled from other sources is not used."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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
    assert folder is not None
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
