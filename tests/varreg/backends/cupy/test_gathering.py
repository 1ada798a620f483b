"""Threads whose requests are sent together: nobody waits for ever, whatever happens to one of them."""

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from varreg.backends.cupy import gathering
from varreg.backends.cupy.gathering import Gathering

PATIENCE = 20  # seconds, of a test that would hang


class Post:
    """What answers each request with ten times itself, and keeps what was sent together."""

    def __init__(self):
        self.sent = []

    def __call__(self, requests):
        self.sent.append(list(requests))
        for request in requests:
            if isinstance(request, BaseException):
                raise request
        return [10 * request for request in requests]


@pytest.fixture
def post():
    return Post()


@pytest.fixture
def patient(monkeypatch):
    """Silence never ends the wait for the others."""
    monkeypatch.setattr(gathering, "SILENCE", 2 * PATIENCE)


def together(post, *scripts):
    """What threads get that are members from the beginning: answers, or the error that ended them."""
    group, ready = Gathering(post), threading.Barrier(len(scripts))

    def work(script):
        answers = []
        with contextlib.suppress(threading.BrokenBarrierError), group.member():
            ready.wait(PATIENCE)
            try:
                for request in script:
                    answers.append(group.answer(request() if callable(request) else request))
            except BaseException as error:
                answers.append(error)
        return answers

    with ThreadPoolExecutor(len(scripts)) as pool:
        return [f.result(PATIENCE) for f in [pool.submit(work, script) for script in scripts]]


@pytest.mark.parametrize("members", [1, 2, 7])
def test_each_gets_its_own_answers_and_what_is_sent_does_not_depend_on_their_number(
    post, patient, members
):
    scripts = [[100 * member + k for k in range(20)] for member in range(members)]
    for script, answers in zip(scripts, together(post, *scripts), strict=True):
        assert answers == [10 * request for request in script]
    assert len(post.sent) == 20
    assert all(len(sent) == members for sent in post.sent)


def test_who_leaves_is_not_waited_for(post, patient):
    long, short, none = together(post, [1, 2, 3, 4, 5], [6, 7], [])
    assert (long, short, none) == ([10, 20, 30, 40, 50], [60, 70], [])
    assert [len(sent) for sent in post.sent] == [2, 2, 1, 1, 1]


def test_an_error_meets_the_one_who_asked(post, patient):
    error = ValueError("no")
    good, bad, other = together(post, [1, 2, 3], [4, error, 5], [6, 7, 8])
    assert (good, other) == ([10, 20, 30], [60, 70, 80])
    assert bad == [40, error]


def test_an_error_of_all_meets_each(post, patient):
    errors = [ValueError(str(k)) for k in range(3)]
    assert together(post, *([error] for error in errors)) == [[error] for error in errors]


@pytest.mark.parametrize("alone", [False, True], ids=["of-all", "of-one-by-one"])
def test_an_interruption_of_the_one_who_sends_ends_all(post, patient, alone):
    first = [ValueError("no")] if alone else []  # what is sent one by one
    scripts = [*([e] for e in first), [KeyboardInterrupt()], [1], [2]]
    answers = together(post, *scripts)
    interrupted = [type(found[-1]) for found in answers].count(KeyboardInterrupt)
    settled = [found for found in answers if found[-1] in (10, 20, *first)]
    assert interrupted >= 1 and interrupted + len(settled) == len(scripts)


def test_who_is_busy_elsewhere_does_not_hold_up_the_others(post):
    go_on = threading.Event()

    def late():
        assert go_on.wait(PATIENCE)
        return 1

    def last():
        go_on.set()
        return 4

    assert together(post, [late], [2, 3, last]) == [[10], [20, 30, 40]]
    assert post.sent[:2] == [[2], [3]]


def test_nothing_is_sent_while_something_is(post):
    under_way = []

    def slow(requests):
        under_way.append(len(under_way))
        assert len(under_way) == 1
        time.sleep(0.01)
        under_way.clear()
        return post(requests)

    scripts = [[10 * k, 10 * k + 1] for k in range(5)]
    delayed = [
        [lambda r=r, k=k: time.sleep(0.003 * k) or r for r in script]
        for k, script in enumerate(scripts)
    ]
    answers = together(slow, *delayed)
    assert answers == [[10 * r for r in script] for script in scripts]
