"""Many pairs at once: the bits of one by one, how far it looks ahead, errors."""

import gc
import threading
import time
import weakref
from collections import UserDict

import nibabel as nib
import numpy as np
import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.batch.pair import located
from varreg.data.phantom import deformed_pair
from varreg.errors import FileError, InputError

from .settings import QUICK, assert_same


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_slices_get_the_bits_of_one_by_one_in_their_order(slices, threads):
    results = varreg.solve_batch(slices, threads=threads, **QUICK)
    assert len(results) == len(slices)
    for result, pair in zip(results, slices, strict=True):
        assert_same(result, varreg.solve(*pair, threads=2, **QUICK))


@pytest.mark.parametrize("threads", [1, 3])
def test_volumes_get_the_bits_of_one_by_one(threads):
    made = [deformed_pair((36, 32, 34), np.random.default_rng(seed)) for seed in (1, 2)]
    pairs = [(pair.moving, pair.fixed) for pair in made]
    results = varreg.solve_batch(pairs, threads=threads, **QUICK)
    for result, pair in zip(results, pairs, strict=True):
        assert_same(result, varreg.solve(*pair, threads=1, **QUICK))


def test_fine_maps_get_the_bits_of_one_by_one(slices):
    settings = dict(QUICK, regularity="fine", deformable=True)
    for result, pair in zip(varreg.solve_batch(slices, **settings), slices, strict=True):
        assert (result.options.regularity, result.options.volume_weight) == ("fine", 0.8)
        assert_same(result, varreg.solve(*pair, threads=1, **settings))


def test_the_stream_is_the_list(slices):
    stream = varreg.iterate_batch(iter(slices), threads=2, **QUICK)
    for result, wanted in zip(stream, varreg.solve_batch(slices, **QUICK), strict=True):
        assert_same(result, wanted)


def test_what_a_dictionary_says_wins_over_what_holds_for_all(slices):
    moving, fixed = slices[0]
    mask = np.zeros(fixed.shape, bool)
    mask[10:50, 15:45] = True
    shift = np.eye(3)
    shift[0, 2] = 2.0
    own = dict(fixed_mask=mask, moving_mask=None, affine=shift)
    pairs = [UserDict(moving=moving, fixed=fixed, **own), (moving, fixed)]
    common = dict(moving_mask=np.ones(moving.shape), affine="rigid", preset="paper", **QUICK)
    masked, plain = varreg.solve_batch(pairs, threads=2, **common)
    assert_same(masked, varreg.solve(moving, fixed, **{**common, **own}))
    assert_same(plain, varreg.solve(moving, fixed, **common))
    np.testing.assert_array_equal(masked.affine, shift)


def test_no_pairs_are_no_results():
    assert varreg.solve_batch([]) == []
    assert varreg.solve_batch(iter([]), threads=3) == []


@pytest.mark.parametrize(("threads", "count", "each"), [(3, 5, 1), (3, 3, 1), (5, 2, 2), (4, 1, 4)])
def test_threads_are_shared_out(solved, threads, count, each):
    for pairs in ([("m", "f")] * count, iter([("m", "f")] * count)):
        told = [given for *_, given in varreg.solve_batch(pairs, threads=threads)]
        assert [given["threads"] for given in told] == [each] * count
        assert all(given["progress"] is False for given in told)


def test_the_callback_hears_of_every_pair(slices):
    heard = []
    results = varreg.solve_batch(slices[:3], threads=2, callback=heard.append, **QUICK)
    steps = [step for result in results for step in result.history]
    assert set(steps) <= set(heard)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_a_generator_is_asked_for_two_pairs_per_worker_ahead(solved, workers):
    taken = 0

    def source():
        nonlocal taken
        for number in range(20):
            taken += 1
            yield f"m{number}", "f"

    results = varreg.iterate_batch(source(), threads=workers)
    assert taken == 0
    for done, (moving, *_) in enumerate(results, start=1):
        assert moving == f"m{done - 1}"
        assert taken <= done + 2 * workers - 1
    assert taken == 20


def test_pairs_and_results_are_forgotten(solved):
    alive = weakref.WeakSet()

    class Thing:
        name = ""

        def __init__(self):
            alive.add(self)

    solved(lambda moving, fixed, **given: Thing())
    source = ((Thing(), Thing()) for _ in range(8))
    for _ in varreg.iterate_batch(source, threads=2):
        gc.collect()
        # of 16 images: the four pairs of the look-ahead, the one taken last, and this result
        assert len(alive) <= 4 * 2 + 2 + 1
    del _
    gc.collect()
    assert not alive


def test_until_the_kernels_are_compiled_pairs_are_solved_in_the_calling_thread(solved, monkeypatch):
    where = []

    def solve(moving, fixed, **given):
        where.append((threading.current_thread() is threading.main_thread(), given["threads"]))
        if moving == "bad":
            raise InputError("found before anything was compiled")

    solved(solve)
    monkeypatch.setattr(cpu, "is_compiled", lambda: len(where) >= 2)
    pairs = [("bad", "f"), ("m", "f"), ("m", "f"), ("m", "f")]
    varreg.solve_batch(pairs, threads=2, errors="return")
    assert where == [(True, 2), (True, 2), (False, 1), (False, 1)]


def test_the_reference_backend_has_nothing_to_compile(solved):
    ((*_, given),) = varreg.solve_batch([("m", "f")], backend="numpy", threads=1)
    assert given["backend"] == "numpy"


def test_the_first_error_is_raised_with_its_place(slices, tmp_path):
    flat = np.ones((64, 64))
    pairs = [slices[0], (flat, slices[1][1]), (tmp_path / "absent.nii", slices[1][1])]
    with pytest.raises(InputError) as caught:
        varreg.solve_batch(pairs, threads=2, **QUICK)
    message = str(caught.value)
    assert message.startswith("pairs[1] (moving ndarray, fixed ndarray): varreg.solve: `moving`")
    with pytest.raises(FileError, match=r"^pairs\[1\] \(moving '.*absent.nii', fixed ndarray\): "):
        varreg.solve_batch(pairs[::2], threads=2, **QUICK)


def test_errors_stand_in_the_place_of_results(slices, tmp_path):
    named = nib.Nifti1Image(np.ones((64, 64, 1)), np.eye(4))
    pairs = [slices[0], (named, slices[0][1]), "no pair", slices[3], (tmp_path / "absent.nii", 1)]
    results = varreg.solve_batch(pairs, threads=2, errors="return", **QUICK)
    kinds = [varreg.Result, InputError, InputError, varreg.Result, FileError]
    assert [type(result) for result in results] == kinds
    assert str(results[1]).startswith("varreg.solve: `moving`")
    assert "`pairs[2]` must be" in str(results[2])
    assert_same(results[3], varreg.solve(*slices[3], **QUICK))


def test_an_error_keeps_its_type_and_says_where_it_was():
    for error in (FileError("gone"), ZeroDivisionError("by zero")):
        assert located(error, "pairs[3]") is error
        assert str(error) in ("pairs[3]: gone", "pairs[3]: by zero")
    if hasattr(KeyError, "add_note"):
        for error in (KeyError("name"), OSError(5, "broken"), KeyboardInterrupt()):
            words = str(error)
            assert str(located(error, "pairs[3]")) == words
            assert error.__notes__ == ["pairs[3]."]


def slow(moving, fixed, callback, **given):
    """A solve that fails at once or takes step after step for a minute."""
    if moving == "bad":
        time.sleep(0.05)
        raise InputError("refused")
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        callback(None)
        time.sleep(0.002)


def test_an_error_cancels_what_is_running(solved):
    solved(slow)
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"^pairs\[0\] \(moving 'bad', fixed 'f'\): refused"):
        varreg.solve_batch([("bad", "f")] + [("long", "f")] * 9, threads=3)
    assert time.monotonic() - begun < 20
    assert not [t for t in threading.enumerate() if t.name.startswith("varreg-batch")]


def test_an_interruption_cancels_what_is_running(solved):
    solved(slow)
    begun = time.monotonic()

    def interrupted():
        yield from [("long", "f")] * 2
        raise KeyboardInterrupt  # as it arrives in the calling thread

    with pytest.raises(KeyboardInterrupt):
        varreg.solve_batch(interrupted(), threads=2)
    assert time.monotonic() - begun < 20
    assert not [t for t in threading.enumerate() if t.name.startswith("varreg-batch")]


def test_closing_the_stream_cancels_what_is_running(solved):
    def solve(moving, fixed, **given):
        return moving if moving == "short" else slow(moving, fixed, **given)

    solved(solve)
    begun = time.monotonic()
    results = varreg.iterate_batch([("short", "f")] + [("long", "f")] * 5, threads=2)
    assert next(results) == "short"
    results.close()
    assert time.monotonic() - begun < 20
