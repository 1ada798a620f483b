"""Requests of several pairs that are solved at the same time, each in a thread of its own, sent together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .request import Request
from .sending import Answer

#: Seconds without another request after which those that are there no longer wait for the other pairs.
SILENCE = 0.005


class _Pending:
    """A request on its way."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answer: Answer | None = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None


class Gathering:
    """Threads whose requests are sent together: once all of them wait for an answer.

    Also once none has come for `SILENCE`: a thread that reads a file, or waits for what another of them holds (the lock of
    a cached property before Python 3.12), does not hold up the others for longer.  One of the waiting threads sends what there is.  Answers do not depend on what is sent
    together.

    Parameters
    ----------
    send : callable
        Requests -> their answers; it may be called again with some of the same requests.
    """

    def __init__(self, send: Callable[[Sequence[Request]], list[Answer]]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._members, self._last, self._is_sending = 0, 0.0, False
        self._waiting: list[_Pending] = []

    @contextmanager
    def member(self) -> Iterator[None]:
        """A context in which the others wait for requests of this thread."""
        with self._changed:
            self._members += 1
        try:
            yield
        finally:
            with self._changed:
                self._members -= 1
                self._changed.notify_all()

    def answer(self, request: Request) -> Answer:
        """The answer to a request of this thread, a member.

        Raises
        ------
        Exception
            Whatever sending this request alone raises.
        """
        own = _Pending(request)
        with self._changed:
            self._waiting.append(own)
            self._last = time.monotonic()
            while not own.is_done:
                if not self._is_sending and self._is_time():
                    self._send_waiting()
                else:
                    self._changed.wait(SILENCE)
        if own.error is not None:
            raise own.error
        assert own.answer is not None
        return own.answer

    def _is_time(self) -> bool:
        all_wait = len(self._waiting) >= self._members
        return bool(self._waiting) and (all_wait or time.monotonic() - self._last >= SILENCE)

    def _send_waiting(self) -> None:
        """Send what there is, without the lock meanwhile: who comes now waits for the next time."""
        sent, self._waiting, self._is_sending = self._waiting, [], True
        self._changed.release()
        try:
            _settle(sent, self._send)
        except (
            BaseException
        ) as error:  # an interruption of this thread: nobody may wait for it any more
            for one in sent:
                if not one.is_done:
                    one.error = error
            raise
        finally:
            self._changed.acquire()
            self._is_sending = False
            self._last = time.monotonic()
            self._changed.notify_all()


def _settle(sent: list[_Pending], send: Callable[[Sequence[Request]], list[Answer]]) -> None:
    """An answer or an error for each: if they cannot be sent together, one by one, so that an error meets its pair."""
    try:
        answers = send([one.request for one in sent])
    except Exception as error:
        if len(sent) == 1:
            sent[0].error = error
        else:
            for one in sent:
                _settle([one], send)
    else:
        for one, answer in zip(sent, answers, strict=True):
            one.answer = answer
