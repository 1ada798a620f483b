"""When processes are used, and what happens where they cannot be."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import loky
import numpy as np
import pytest

import varreg
from varreg.batch import process_count
from varreg.batch.process_count import LEAST_FOR_PROCESSES, chosen_pool, processes_pay
from varreg.batch.processes import has_warm_pool, shutdown_idle_pool
from varreg.errors import InputError

from .settings import QUICK, assert_same, in_processes, needs_cache, worker_ids


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
