"""Joint sending of the requests of several pairs that are registered concurrently, one per thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from .request import Request
from .sending import Answer

#: Seconds without a new request after which the pending ones are sent without waiting for the other pairs.
SILENCE = 0.005


class _Pending:
    """A pending request."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.answer: Answer | None = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        return self.answer is not None or self.error is not None


class Gathering:
    """Threads whose requests are sent together, as soon as all of them wait for a result.

    Requests are also sent if no other has arrived for `SILENCE` seconds, so that a thread that reads a file, or waits for
    a lock of another thread (of a cached property before Python 3.12), does not delay the others for longer.  One of the
    waiting threads sends all pending requests.  Results do not depend on which requests are sent together.

    Parameters
    ----------
    send : callable
        Requests -> their results; it may be called again with some of the same requests.
    """

    def __init__(self, send: Callable[[Sequence[Request]], list[Answer]]) -> None:
        self._send = send
        self._changed = threading.Condition()
        self._members, self._last, self._is_sending = 0, 0.0, False
        self._waiting: list[_Pending] = []

    @contextmanager
    def member(self) -> Iterator[None]:
        """Context manager in which other threads wait for the requests of this thread."""
        with self._changed:
            self._members += 1
        try:
            yield
        finally:
            with self._changed:
                self._members -= 1
                self._changed.notify_all()

    def answer(self, request: Request) -> Answer:
        """Result of a request of this thread, which must be a member.

        Raises
        ------
        Exception
            The exception raised by sending this request alone.
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
        """Send all pending requests, with the lock released; requests that arrive meanwhile are sent the next time."""
        sent, self._waiting, self._is_sending = self._waiting, [], True
        self._changed.release()
        try:
            _settle(sent, self._send)
        except (
            BaseException
        ) as error:  # an interruption of this thread, for which the others must not wait
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
    """Assign a result or an error to each request; after an error they are sent one by one, to attribute it."""
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
