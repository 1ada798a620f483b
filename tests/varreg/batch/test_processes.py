"""Worker processes: the same bits and errors; they end when nobody waits for them."""

import logging
import os
import signal
import time
from collections import UserDict

import nibabel as nib
import numpy as np
import pytest

import varreg
from varreg.data.phantom import deformed_pair
from varreg.errors import InputError

from .settings import QUICK, assert_same, in_processes, needs_cache, worker_ids


@needs_cache
def test_processes_give_the_bits_of_one_by_one_in_their_order(slices, pool_ends, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    nib.Nifti1Image(slices[1][1][..., None], np.eye(4)).to_filename(tmp_path / "t1.nii")
    volume = deformed_pair((36, 32, 34), np.random.default_rng(1))
    mask = np.zeros((72, 60), bool)
    mask[10:50, 15:45] = True
    pairs = [
        *slices[:1],
        UserDict(moving=slices[2][0], fixed=slices[2][1], fixed_mask=mask, affine=np.eye(3)),
        (slices[1][0], nib.load(tmp_path / "t1.nii")),
        (volume.moving.astype(float), volume.fixed),
        (varreg.Image.from_array(slices[3][0], spacing=0.5), tmp_path / "t1.nii"),
    ]
    for _ in range(2):  # cold, and warm
        for found, pair in zip(in_processes(pairs), pairs, strict=True):
            pair = pair if isinstance(pair, UserDict) else dict(moving=pair[0], fixed=pair[1])
            wanted = varreg.solve(**pair, **QUICK)
            assert_same(found, wanted)
            assert (found.fixed_name, found.moving_name) == (wanted.fixed_name, wanted.moving_name)
            for one, other in ((found, wanted), (found.transform, wanted.transform)):
                for name in ("fixed", "moving"):
                    assert type(getattr(one, name)) is type(getattr(other, name))
            np.testing.assert_array_equal(found.moving.data, wanted.moving.data)
            for name in ("affine", "displacement"):
                flags = getattr(found, name).flags, getattr(wanted, name).flags
                assert flags[0].writeable == flags[1].writeable
            assert type(found.warped.data) is np.ndarray
    assert found.moving is pairs[-1][0]  # does not travel back
    assert worker_ids() and not caplog.records


def test_processes_count_paths_from_the_folder_of_the_moment(
    slices, pool_ends, tmp_path, monkeypatch
):
    for number, folder in enumerate((tmp_path / "a", tmp_path / "b")):
        folder.mkdir()
        for image, name in zip(slices[number], ("moving", "fixed"), strict=True):
            nib.Nifti1Image(image[..., None], np.eye(4)).to_filename(folder / f"{name}.nii")
        monkeypatch.chdir(folder)
        for result in in_processes([("moving.nii", "fixed.nii")] * 2):
            assert_same(result, varreg.solve("moving.nii", "fixed.nii", **QUICK))


def test_errors_of_processes_are_those_of_threads(slices, pool_ends, tmp_path):
    flat, named = np.ones((64, 64)), nib.Nifti1Image(np.ones((64, 64, 1)), np.eye(4))
    good = slices[0]
    pairs = [
        good,
        (flat, good[1]),
        (good[0], named),
        "no pair",
        good,
        (tmp_path / "absent.nii", flat),
    ]
    pairs += [(good[0], np.ones((8, 8, 8)) * np.arange(8)), (good[0], object()), (good[0], flat)]
    pairs += [dict(moving=good[0], fixed=good[1], fixed_mask=flat[:9]), good]
    kept, wanted = (
        varreg.solve_batch(pairs, processes=count, errors="return", **QUICK) for count in (2, 0)
    )
    for one, other in zip(kept, wanted, strict=True):
        assert type(one) is type(other)
        assert str(one) == str(other) or isinstance(one, varreg.Result)
    for some in (pairs[:3], pairs[4:6], pairs[-2:]):
        raised = []
        for count in (2, 0):
            with pytest.raises(varreg.VarregError) as caught:
                varreg.solve_batch(some, processes=count, **QUICK)
            raised.append((caught.type, str(caught.value)))
        assert raised[0] == raised[1] and raised[0][1].startswith("pairs[")


def test_processes_take_two_pairs_each_ahead(slices, pool_ends):
    taken = 0

    def source():
        nonlocal taken
        for number in range(12):
            taken += 1
            yield slices[number % 5]

    results = varreg.iterate_batch(source(), processes=2, **QUICK)
    assert taken == 0
    for done, _ in enumerate(results, start=1):
        assert taken <= done + 2 * 2 - 1
    assert taken == 12


ENDLESS = dict(iterations=10**5, energy_tolerance=0, gradient_tolerance=0, memory=0, progress=False)


@pytest.mark.parametrize("end", ["close", "error", "interrupt"])
def test_what_processes_still_compute_is_given_up(slices, pool_ends, end):
    (moving, fixed), flat = slices[0], np.ones((64, 64))

    def source():
        yield from [(fixed, fixed), *[(moving, fixed)] * 2]
        yield (flat, fixed) if end == "error" else (moving, fixed)
        if end == "interrupt":
            raise KeyboardInterrupt  # as it arrives in the calling thread
        yield from [(moving, fixed)] * 4

    in_processes(slices)  # warm, so that the next lines do not count the start
    before, begun = worker_ids(), time.monotonic()
    results = varreg.iterate_batch(source(), processes=2, **ENDLESS)
    if end != "interrupt":
        assert next(results).stop is varreg.optimise.history.Stop.IDENTICAL
    if end == "close":
        results.close()
    elif end == "error":
        results.close()
        with pytest.raises(InputError, match=r"^pairs\[0\]"):
            in_processes([(flat, fixed), *[(moving, fixed)] * 3], **ENDLESS)
    else:
        with pytest.raises(KeyboardInterrupt):
            list(results)
    assert time.monotonic() - begun < 10
    assert_same(in_processes(slices)[0], varreg.solve(*slices[0], **QUICK))
    assert worker_ids() == before  # the processes live on


@needs_cache
def test_a_worker_that_is_killed_is_an_error_and_the_next_batch_has_others(slices, pool_ends):
    moving, fixed = slices[0]
    in_processes(slices)
    results = varreg.iterate_batch(
        [(fixed, fixed), *[(moving, fixed)] * 5], processes=2, errors="return", **ENDLESS
    )
    next(results)
    before = worker_ids()
    os.kill(min(before), signal.SIGKILL)
    failed = next(results)
    assert type(failed) is varreg.VarregError and "a worker process ended" in str(failed)
    results.close()
    assert_same(in_processes(slices[:2])[1], varreg.solve(*slices[1], **QUICK))
    assert not before & worker_ids()


def test_workers_that_do_not_give_up_in_time_are_killed(slices, pool_ends, monkeypatch):
    moving, fixed = slices[0]
    in_processes(slices)
    before = worker_ids()
    monkeypatch.setattr("varreg.batch.processes.CANCEL_TIMEOUT", 0.0)
    pairs = [(fixed, fixed), *[(moving, fixed)] * 4]
    results = varreg.iterate_batch(pairs, processes=2, **ENDLESS)
    next(results)
    results.close()
    assert not before & worker_ids()
    assert_same(in_processes(slices[:2])[1], varreg.solve(*slices[1], **QUICK))
