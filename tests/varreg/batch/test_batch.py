"""``varreg.solve_batch``: the bits of one by one, the order, the errors, and how far it looks ahead."""

import functools
import gc
import io
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import UserDict
from pathlib import Path

import loky
import nibabel as nib
import numpy as np
import pytest

import varreg
from varreg.backends.numba import backend as cpu
from varreg.backends.numba import histogram
from varreg.backends.numba.cache import cache_folder
from varreg.batch import executor as parallel
from varreg.batch import process_count
from varreg.batch.pair import located
from varreg.batch.process_count import LEAST_FOR_PROCESSES, chosen_pool, processes_pay
from varreg.batch.processes import has_warm_pool, shutdown_idle_pool
from varreg.data.phantom import deformed_pair
from varreg.errors import BackendError, FileError, InputError
from varreg.report.progress import count_bar

#: Worker processes load what was compiled once; where nothing can be kept, threads do the work.
needs_cache = pytest.mark.skipif(
    cache_folder(histogram.backprojections) is None,
    reason="no folder for compiled kernels can be written",
)
QUICK = dict(levels=(2,), iterations=4, affine_iterations=4, progress=False)


@pytest.fixture(scope="module")
def slices():
    """Five pairs, not all of one size."""
    shapes = [(64, 64), (64, 70), (72, 60), (64, 64), (66, 66)]
    made = [deformed_pair(s, np.random.default_rng(k)) for k, s in enumerate(shapes)]
    return [(pair.moving, pair.fixed) for pair in made]


@pytest.fixture
def solved(monkeypatch):
    """Replace ``solve`` by one that only says what it was asked for."""

    def replace(function):
        monkeypatch.setattr(parallel, "solve", functools.wraps(varreg.solve)(function))

    replace(lambda moving, fixed, **given: (moving, fixed, given))
    return replace


def assert_same(result, wanted):
    np.testing.assert_array_equal(result.displacement, wanted.displacement)
    np.testing.assert_array_equal(result.warped.data, wanted.warped.data)
    assert result.energy == wanted.energy and result.start_energy == wanted.start_energy
    assert result.history == wanted.history


# -- the same as one by one


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


# -- how far it looks ahead


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


# -- the first call compiles


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


# -- errors


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


# -- worker processes


@pytest.fixture(scope="module")
def pool_ends():
    """The tests below share two warm processes; they are gone for the tests of other files."""
    yield
    shutdown_idle_pool()


def in_processes(pairs, **arguments):
    return varreg.solve_batch(pairs, processes=2, **{**QUICK, **arguments})


def worker_ids():
    return {process.pid for process in multiprocessing.active_children()}


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


class Unsendable:
    """An array with something in it that belongs to this process."""

    def __init__(self, array):
        self.array, self.lock = array, threading.Lock()

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.array, dtype)


@needs_cache
def test_what_cannot_be_sent_is_an_error_only_if_processes_were_asked_for(
    slices, pool_ends, monkeypatch
):
    moving, fixed = slices[0]
    masked = dict(moving=moving, fixed=fixed, fixed_mask=Unsendable(np.ones(fixed.shape)))
    in_processes(slices)
    with pytest.raises(InputError, match=r"^pairs\[1\].*cannot be sent to a worker.*processes=0"):
        in_processes([slices[0], masked])
    with pytest.raises(InputError, match="varreg.solve_batch: an argument cannot be sent"):
        in_processes([slices[0]], fixed_mask=masked["fixed_mask"])
    monkeypatch.setattr(process_count, "LEAST_FOR_PROCESSES", 3)
    array = dict(moving_mask=Unsendable(np.ones(moving.shape)))
    for common, each in (({}, 2), (array, 1)):  # solved here one by one; in threads
        (found,) = varreg.solve_batch([masked] * 3, **common, **QUICK, threads=2)[-1:]
        assert_same(found, varreg.solve(**masked, **common, **QUICK))
        assert found.provenance["threads"] == each
    (found,) = in_processes([(Unsendable(moving), fixed)])  # an image is sent as what it is
    assert_same(found, varreg.solve(moving, fixed, **QUICK))


VOLUME = np.zeros((64, 64, 64), np.float32)


@pytest.mark.parametrize(
    ("given", "pays"),
    [
        ({}, True),
        (dict(total=LEAST_FOR_PROCESSES - 1), False),
        (dict(total=None), False),
        (dict(total=2, warm=True), True),
        (dict(total=None, warm=True), True),
        (dict(pairs=[(VOLUME[0], VOLUME[0])], total=1, warm=True), False),
        (dict(threads=1), False),
        (dict(common=dict(callback=print)), False),
        (dict(common=dict(fixed_mask=threading.Lock())), False),
        (dict(pairs=[(VOLUME, VOLUME)] * 3), False),
        (dict(pairs=[("m", "f")] * 3), False),
        (dict(pairs=[dict(moving="m", fixed=varreg.Image.from_array(VOLUME[0]))] * 3), True),
    ],
)
def test_processes_are_used_where_they_pay(given, pays):
    slices = [(VOLUME[0], VOLUME[0])] * 3
    usual = dict(pairs=slices, threads=3, total=LEAST_FOR_PROCESSES, common={}, warm=False)
    assert processes_pay(**{**usual, **given}) == pays


def test_processes_that_are_asked_for_need_not_pay(slices, monkeypatch):
    def size(processes, pairs, most, total=None):
        pool = chosen_pool("f", processes, pairs, most, total, {})
        return 0 if pool is None else pool.size

    shutdown_idle_pool()
    many = LEAST_FOR_PROCESSES
    assert size(None, slices[:3], 3, many) == 3 and size(0, slices[:3], 3, many) == 0
    assert size(2, slices[:2], 2) == 2 and size(2, slices[:1], 2, 1) == 1
    assert size(3, [(VOLUME, VOLUME)] * 3, 3) == 3 and size(3, [("m", "f")], 3) == 1
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "a process of processes")
    assert size(None, slices[:3], 3, many) == 0 and size(3, slices[:3], 3, many) == 3
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    assert size(3, slices[:3], 3, many) == 0


def test_a_program_that_is_not_python_is_not_started_again(monkeypatch):
    assert process_count.processes_expected()
    for executable in ("/usr/bin/uwsgi", "", None):
        monkeypatch.setattr(sys, "executable", executable)
        assert not process_count.processes_expected()


def test_where_processes_cannot_start_threads_take_over(slices, monkeypatch, caplog):
    def start(*_, **__):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("loky.ProcessPoolExecutor", start)
    shutdown_idle_pool()
    assert_same(in_processes(slices[:2])[1], varreg.solve(*slices[1], **QUICK))
    (record,) = caplog.records
    assert "cannot be started" in record.message and record.levelname == "WARNING"


@needs_cache
def test_inside_a_worker_threads_are_used(slices):
    (moving, fixed), quick = slices[0], QUICK

    def nested():
        import multiprocessing

        import varreg
        from varreg.batch import process_count

        process_count.LEAST_FOR_PROCESSES = 1
        results = varreg.solve_batch([(moving, fixed)] * 3, threads=2, **quick)
        return results[2], len(multiprocessing.active_children())

    with loky.ProcessPoolExecutor(1) as executor:
        result, children = executor.submit(nested).result(timeout=60)
    assert_same(result, varreg.solve(moving, fixed, **QUICK))
    assert children == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_process_leaves_the_workers_of_its_parent_alone(slices, pool_ends):
    in_processes(slices)
    before = worker_ids()
    half_done = varreg.iterate_batch(slices, processes=2, **QUICK)
    next(half_done)

    def child(answer):
        half_done.close()
        warm = has_warm_pool(2)
        results = varreg.solve_batch(slices[:2], threads=2, **QUICK)
        answer.send((warm, results[1].energy))

    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=child, args=(theirs,))
    process.start()
    assert ours.poll(30) and ours.recv() == (False, varreg.solve(*slices[1], **QUICK).energy)
    process.join(30)
    assert process.exitcode == 0 and len(list(half_done)) == 4
    assert len(in_processes(slices)) == 5 and worker_ids() == before


SCRIPT = """
import os, signal, sys
import numpy as np, varreg
from varreg.data.phantom import deformed_pair

pair = deformed_pair((64, 64), np.random.default_rng(0))
pairs = [(pair.fixed, pair.fixed), *[(pair.moving, pair.fixed)] * 9]
endless = dict(iterations=10**5, energy_tolerance=0, gradient_tolerance=0, memory=0)
for number, result in enumerate(varreg.iterate_batch(pairs, processes=2, **endless)):
    print("first", flush=True)
"""  # without `if __name__ == "__main__"`


@pytest.mark.skipif(os.name == "nt", reason="signals are sent differently on Windows")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_the_process_it_works_for(tmp_path, number):
    root = Path(varreg.__file__).resolve().parents[1]
    (tmp_path / "script.py").write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, "script.py"], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout.readline() == "first\n"
    time.sleep(0.2)  # it waits for the second result
    if number == signal.SIGINT:  # what a terminal does: all processes get it
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    # ends when the last process that can write into the pipes has ended
    _, stderr = process.communicate(timeout=30)
    assert process.returncode != 0
    assert stderr.count("Traceback") == (number == signal.SIGINT)


# -- what is refused, and when


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("ab", "got str"),
        (np.ones((2, 8, 8)), "got ndarray"),
        (None, "got NoneType"),
        (("m", "f", "mask"), "got tuple of length 3"),
        (["m"], "got list of length 1"),
        ({"moving": "m"}, "lacks 'fixed'"),
        ({"moving": "m", "fixed": "f", "mask": 1}, "has the unknown 'mask'"),
        ({"moving": "m", "fixed": "f", "threads": 1}, "has the unknown 'threads'"),
    ],
)
def test_what_is_no_pair_is_refused_with_its_position(solved, pair, words):
    solved(lambda *_, **__: pytest.fail("computed in vain"))
    with pytest.raises(InputError, match=r"solve_batch: `pairs\[1\]`") as caught:
        varreg.solve_batch([("m", "f"), pair])
    assert words in str(caught.value)
    solved(lambda moving, fixed, **given: moving)
    with pytest.raises(InputError, match=r"^varreg.iterate_batch: `pairs\[1\]`"):
        list(varreg.iterate_batch(iter([("m", "f"), pair])))


def test_one_pair_that_is_not_in_a_list_is_told_so(slices):
    with pytest.raises(InputError, match=r"`pairs\[0\]`.*\[\(moving, fixed\)\]"):
        varreg.solve_batch(slices[0])


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (dict(bins=4), InputError, "bins"),
        (dict(bin=40), InputError, "Did you mean `bins`"),
        (dict(preset="quick"), InputError, "preset"),
        (dict(options={}), InputError, "options"),
        (dict(moving="m"), InputError, "moving"),
        (dict(affine="elastic"), InputError, "affine"),
        (dict(start="corner"), InputError, "start"),
        (dict(backend="cuda"), InputError, "backend"),
        (dict(backend="cupy"), BackendError, "numba"),
        (dict(threads=0), InputError, "varreg.iterate_batch: `threads`"),
        (dict(processes=-1), InputError, "varreg.iterate_batch: `processes` must be a whole"),
        (dict(processes=True), InputError, "`processes`"),
        (dict(processes=2.0), InputError, "`processes`"),
        (dict(processes=2, callback=print), InputError, "varreg.iterate_batch: `callback`"),
        (dict(errors="ignore"), InputError, "varreg.iterate_batch: `errors`"),
        (dict(pairs=7), InputError, "varreg.iterate_batch: `pairs` must be an iterable"),
    ],
)
def test_arguments_are_checked_once_before_anything_is_taken(given, error, words):
    def untouched():
        pytest.fail("taken in vain")
        yield

    with pytest.raises(error) as caught:  # already by the call, before the first result is wanted
        varreg.iterate_batch(**{"pairs": untouched(), **given})
    assert words in str(caught.value)


# -- the bar


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("total", [3, None])
def test_the_bar_counts_pairs_on_terminals_only(total):
    shown, silent, unwanted = Terminal(), io.StringIO(), Terminal()
    for stream, progress in ((shown, None), (silent, True), (unwanted, False)):
        with count_bar(total, progress, stream) as counted:
            counted.update()
            counted.refresh()
    assert f"1/{total or '?'} pairs" in shown.getvalue()
    assert silent.getvalue() == unwanted.getvalue() == ""


# -- no terminal at all


@pytest.mark.parametrize("progress", [None, True])
def test_a_process_without_stderr_gets_its_results(slices, pool_ends, monkeypatch, progress):
    pair, quick = slices[0], {**QUICK, "progress": progress}
    wanted = varreg.solve(*pair, **QUICK)
    monkeypatch.setattr(sys, "stderr", None)  # pythonw, some services
    assert_same(varreg.solve(*pair, **quick), wanted)
    for count in (0, 2):
        for result in varreg.solve_batch([pair] * 2, processes=count, **quick):
            assert_same(result, wanted)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    assert_same(varreg.solve(*pair, **quick), wanted)
