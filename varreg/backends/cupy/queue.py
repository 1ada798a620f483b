"""Requests of one thread that are sent together, in their order, once an answer to one of them is wanted."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from ..later import Later
from .request import Request, joined
from .sending import Answer

Finish = Callable[[Answer], Any]
Collect = Callable[[], Answer]


class Queue:
    """Requests of one thread.

    Parameters
    ----------
    send : callable
        Sends a request; what it returns waits for the answer.
    place : callable
        Makes a context in which a request is sent and its answer waited for.
    """

    def __init__(
        self,
        send: Callable[[Request], Collect],
        place: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._send, self._place = send, place
        self._waiting: list[_Asked] = []

    def add(self, request: Request, finish: Finish) -> Later[Any]:
        """What is made of the answer to a request.  Of one that wants nothing back it is there once it is sent."""
        asked = _Asked(request)
        self._waiting.append(asked)

        def collect() -> Any:
            with self._place():
                if asked.collect is None:
                    self._send_all(asked)
                assert asked.collect is not None
                return finish(asked.collect())

        return Later(collect)

    def _send_all(self, wanted: _Asked) -> None:
        """Send all that wait; if that fails they wait no longer, so that what comes next is not hurt."""
        together, self._waiting = self._waiting, []
        if wanted not in together:
            together = [wanted]  # once more
        answers = _Shared(self._send(joined([one.request for one in together])))
        begin = 0
        for one in together:
            end = begin + len(one.request.wanted)
            one.collect = answers.part(begin, end)
            begin = end


class _Asked:
    """A request, and what waits for its answer once it is sent."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.collect: Collect | None = None


class _Shared:
    """An answer that is waited for once, at the first time that some of it is wanted."""

    def __init__(self, collect: Collect) -> None:
        self._answer = Later(collect)

    def part(self, begin: int, end: int) -> Collect:
        """Some of the arrays."""
        if begin == end:
            return list
        return lambda: self._answer.result()[begin:end]
