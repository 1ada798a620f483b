"""Queue of the requests of one thread, sent together and in order when the first result is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..later import Later
from .request import Request, joined
from .sending import Answer

Finish = Callable[[Answer], Any]


class Post(NamedTuple):
    """A request that has been sent."""

    back: Any  # bytes on the device that are transferred back
    read: Callable[[NDArray[np.uint8]], Answer]  # function that extracts the result from them


class Queue:
    """Queue of the requests of one thread.

    Parameters
    ----------
    send : callable
        Request -> Post, without waiting.
    fetch : callable
        Transfers the bytes of several posts to the host, with a single wait.
    place : callable
        Factory of the context manager in which both are called.
    """

    def __init__(
        self,
        send: Callable[[Request], Post],
        fetch: Callable[[Sequence[Any]], list[NDArray[np.uint8]]],
        place: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._send, self._fetch, self._place = send, fetch, place
        self._waiting: list[_Pending] = []
        self._unread: list[_Batch] = []

    def add(self, request: Request, finish: Finish) -> Later[Any]:
        """Later of the result of a request, processed by `finish`; requests without results need only be sent."""
        pending = _Pending(request)
        self._waiting.append(pending)

        def collect() -> Any:
            with self._place():
                return finish(self._answer(pending))

        return Later(collect)

    def _answer(self, pending: _Pending) -> Answer:
        if pending.batch is None:
            self._send_all(pending)
        assert pending.batch is not None
        if not pending.request.wanted:
            return []
        if pending.batch.answer is None:
            if self._waiting:
                self._send_all(self._waiting[0])
            self._fetch_all(pending.batch)
        assert pending.batch.answer is not None
        return pending.batch.answer[pending.begin : pending.begin + len(pending.request.wanted)]

    def _send_all(self, wanted: _Pending) -> None:
        """Send all pending requests; they are removed even if this fails, so that later requests are not affected."""
        together, self._waiting = self._waiting, []
        if wanted not in together:
            together = [wanted]  # sent again after a failure
        batch = _Batch(self._send(joined([one.request for one in together])))
        begin = 0
        for one in together:
            one.batch, one.begin = batch, begin
            begin += len(one.request.wanted)
        if begin:
            self._unread.append(batch)

    def _fetch_all(self, wanted: _Batch) -> None:
        batches, self._unread = self._unread, []
        if wanted not in batches:
            batches = [wanted]  # fetched again after a failure
        contents = self._fetch([batch.post.back for batch in batches])
        for batch, content in zip(batches, contents, strict=True):
            batch.answer = batch.post.read(content)


class _Batch:
    """Requests that were sent together, and their results once fetched."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.answer: Answer | None = None


class _Pending:
    """A request, and the position of its results in the results of its batch."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.batch: _Batch | None = None
        self.begin = 0
