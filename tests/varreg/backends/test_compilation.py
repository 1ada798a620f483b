"""The time of making kernels ready is counted once, by the computation that waits for it."""

import threading
import time

import numpy as np

from varreg.backends.compilation import compilation_clock, computing_time, kernel_awaited
from varreg.backends.numba.compiled import kernel
from varreg.backends.threads import each
from varreg.stages.levels import timed

WAIT = 0.2


def wait(_=None):
    with kernel_awaited():
        time.sleep(WAIT)


def double(values):
    for k in range(values.size):
        values[k] *= 2


def test_a_kernel_that_is_compiled_is_counted_and_then_no_more():
    compiled, values = kernel(double), np.ones(3)
    begun = time.perf_counter()
    with compilation_clock() as first:
        compiled(values)
    elapsed = time.perf_counter() - begun
    with compilation_clock() as second:
        compiled(values)
    assert 0 < first.seconds <= elapsed
    assert second.seconds == 0
    np.testing.assert_array_equal(values, 4)


def test_threads_that_wait_together_count_once():
    with compilation_clock() as clock:
        each(wait, range(2), threads=2)
    assert WAIT <= clock.seconds < 2 * WAIT


def test_a_computation_counts_what_its_helpers_wait_for_and_not_others():
    seconds = {}

    def compute(name, task):
        with compilation_clock() as clock:
            each(task, range(1), threads=1)
        seconds[name] = clock.seconds

    threads = [
        threading.Thread(target=compute, args=("waits", wait)),
        threading.Thread(target=compute, args=("does not", lambda _: time.sleep(WAIT))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seconds["waits"] >= WAIT
    assert seconds["does not"] == 0


def test_clocks_outside_count_too():
    with compilation_clock() as outer:
        wait()
        with compilation_clock() as inner:
            wait()
    assert inner.seconds >= WAIT
    assert outer.seconds >= inner.seconds + WAIT


def test_stages_are_timed_without():
    seconds = {}
    with compilation_clock() as clock, timed(seconds, "stage"):
        wait()
        time.sleep(WAIT)
    assert clock.seconds >= WAIT
    assert WAIT <= seconds["stage"] < 2 * WAIT


def test_without_a_clock_all_time_counts():
    begun = computing_time()
    wait()
    assert computing_time() - begun >= WAIT
