"""What was compiled from other sources is not used."""

from types import SimpleNamespace

from varreg.backends.numba import backend as cpu
from varreg.backends.numba import cache, histogram


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
