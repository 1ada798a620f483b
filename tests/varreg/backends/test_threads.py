"""Threads: how many by default, and the same bits for any number of them, whoever calls."""

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import varreg
from varreg import phantom
from varreg.backends import threads
from varreg.backends.threads import available_threads, each
from varreg.stages import problem
from varreg.stages.arguments import thread_count

needs_affinity = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system binds no thread to a core"
)


@pytest.fixture
def eight_cores(monkeypatch):
    for name in (*threads.VARIABLES, "LOKY_MAX_CPU_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr("loky.backend.context._cpu_count_cgroup", lambda count: count)


@pytest.mark.parametrize(
    "variables, wanted",
    [
        ({}, 8),
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"NUMBA_NUM_THREADS": "2", "OMP_NUM_THREADS": "3"}, 2),
        ({"OMP_NUM_THREADS": "4,2"}, 4),
        ({"NUMBA_NUM_THREADS": "64"}, 8),
        ({"NUMBA_NUM_THREADS": "", "OMP_NUM_THREADS": "5"}, 5),
        ({"LOKY_MAX_CPU_COUNT": "6"}, 6),
        ({"LOKY_MAX_CPU_COUNT": "6", "OMP_NUM_THREADS": "7"}, 6),
    ],
)
def test_the_default_number_obeys_the_usual_variables(eight_cores, monkeypatch, variables, wanted):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert available_threads() == thread_count(None) == wanted
    assert thread_count(5) == 5  # a number that is asked for is taken


@pytest.mark.parametrize("value", ["many", "0", "-2", "1.5"])
def test_a_variable_that_is_no_number_is_told_and_ignored(eight_cores, monkeypatch, caplog, value):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    with caplog.at_level(logging.WARNING):
        assert available_threads() == 8
    assert "OMP_NUM_THREADS" in caplog.text and value in caplog.text


def test_the_default_number_obeys_the_quota_of_a_container(eight_cores, monkeypatch):
    monkeypatch.setattr("loky.backend.context._cpu_count_cgroup", lambda count: 2)
    assert available_threads() == 2


@needs_affinity
def test_a_confined_thread_is_one_thread_and_stays_confined():
    found = []
    core = min(os.sched_getaffinity(0))

    def confined():
        os.sched_setaffinity(0, {core})
        found.append(available_threads())
        varreg.solve(*images((70, 80)), threads=2, preset="fast")
        found.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=confined)
    thread.start()
    thread.join()
    assert found == [1, {core}]


def images(shape, seed=0):
    pair = phantom.deformed_pair(shape, np.random.default_rng(seed))
    return pair.moving, pair.fixed


def bits(result):
    return result.displacement.tobytes(), result.warped.data.tobytes(), result.energy.total


@pytest.mark.parametrize("shape", [(97, 118), (33, 32, 36)])
@pytest.mark.parametrize("similarity", ["regional-mi", "lncc"])
def test_any_number_of_threads_gives_the_same_bits(monkeypatch, shape, similarity):
    monkeypatch.setattr(problem, "LEAST_VOXELS_FOR_THREADS", 0)
    pair = images(shape)
    one, *more = (
        bits(varreg.solve(*pair, similarity=similarity, threads=count)) for count in (1, 2, 3)
    )
    assert all(other == one for other in more)


def test_registrations_in_several_threads_at_once_give_the_same_bits(monkeypatch):
    monkeypatch.setattr(problem, "LEAST_VOXELS_FOR_THREADS", 0)
    pairs = [images((97, 118), seed) for seed in range(4)]
    alone = [bits(varreg.solve(*pair, threads=1)) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: bits(varreg.solve(*pair, threads=2)), pairs))
    assert together == alone


def test_tasks_may_share_out_tasks_of_their_own():
    def total(n):
        return sum(each(lambda k: k * n, range(20), 4))

    assert each(total, range(30), 8) == [190 * n for n in range(30)]


def test_an_error_of_any_task_is_raised():
    def task(k):
        if k == 17:
            raise ValueError("seventeen")
        return k

    for count in (1, 2, 5):
        with pytest.raises(ValueError, match="seventeen"):
            each(task, range(30), count)
    assert each(task, range(17), 5) == list(range(17))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own():
    code = """
import os, sys, warnings
from varreg.backends.threads import each
assert each(lambda k: k, range(100), 3) == list(range(100))
warnings.simplefilter("ignore")  # that a process with threads forks
child = os.fork()
if child == 0:
    import threading
    meeting = threading.Barrier(2, timeout=60)  # two tasks at once
    each(lambda k: meeting.wait(), range(2), 2)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
