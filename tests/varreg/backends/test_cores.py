"""Threads move to a core of their own, and are free to leave it; what is forbidden changes nothing."""

import os
import threading

import pytest

from varreg.backends.cores import current_core, move_to_core

needs_cores = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system lets no thread choose its core"
)


def in_a_thread(function):
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@needs_cores
def test_a_thread_moves_off_the_busy_core_and_may_go_anywhere_afterwards():
    usable = os.sched_getaffinity(0)
    moves = []

    def move(busy):
        real = os.sched_setaffinity
        try:
            os.sched_setaffinity = lambda pid, cores: (moves.append(set(cores)), real(pid, cores))
            move_to_core(0, busy)
        finally:
            os.sched_setaffinity = real
        return os.sched_getaffinity(0)

    busy = in_a_thread(current_core)
    assert busy in usable
    assert in_a_thread(lambda: move(busy)) == usable
    if len(usable) > 1:
        assert len(moves[0]) == 1 and busy not in moves[0] and moves[-1] == usable
    assert os.sched_getaffinity(0) == usable


@needs_cores
def test_where_it_is_forbidden_nothing_happens(monkeypatch):
    def forbidden(*arguments):
        raise PermissionError(1, "not permitted")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    move_to_core(1)
