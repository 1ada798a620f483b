"""Requests of any number of pairs: one launch for each kernel, one transfer up, one down, one wait for all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .request import Request, Sent, Step, Wanted

#: Bytes: what is transferred together begins at multiples of this, as memory of its own would.
ALIGNMENT = 256
Answer = list[NDArray[Any]]


def send(cupy: Any, requests: Sequence[Request]) -> list[Answer]:
    """The answers to requests: the arrays requested by each.

    What a request computes does not depend on those that it is sent with.

    Parameters
    ----------
    cupy : module
    requests : sequence of Request
        No two write to the same memory.

    Returns
    -------
    list of list of array
    """
    parcel = sent(cupy, requests)
    return parcel.answers(fetched(cupy, [parcel.back])[0])


def sent(cupy: Any, requests: Sequence[Request]) -> Parcel:
    """As :func:`send`, without waiting for the answers."""
    launches = list(_launches(requests))
    parcel = Parcel(cupy, requests, launches)
    for launch in launches:
        launch[0].kernels.launch(launch, parcel.entries(launch))
    parcel.bring()
    return parcel


def fetched(cupy: Any, backs: Sequence[Any]) -> list[NDArray[np.uint8]]:
    """What comes back of several parcels, waited for once if it is anything."""
    parts = [back for back in backs if back.size]
    if not parts:
        return [np.empty(0, np.uint8) for _ in backs]
    content = cupy.asnumpy(parts[0] if len(parts) == 1 else cupy.concatenate(parts))
    ends = np.cumsum([back.size for back in backs])
    return [content[end - back.size : end] for end, back in zip(ends, backs, strict=True)]


def _launches(requests: Sequence[Request]) -> Iterator[list[Step]]:
    """The steps of all requests: those of a kind together, those of a request in their order."""
    waiting = [deque(request.steps) for request in requests]
    while waiting := [steps for steps in waiting if steps]:
        kind = waiting[0][0].kind
        yield [steps.popleft() for steps in waiting if steps[0].kind == kind]


class Parcel:
    """What goes up, and does so when it is made, and what comes back, each in one piece.

    Attributes
    ----------
    back : (bytes,) uint8 array on the device
    """

    def __init__(
        self, cupy: Any, requests: Sequence[Request], launches: Sequence[list[Step]]
    ) -> None:
        self._cupy, self._requests = cupy, requests
        self._up, self._down = _Places(), _Places()
        for launch in launches:
            self._up.add(launch, len(launch) * launch[0].kernels.entry_size(launch[0].name))
        for request in requests:
            for one in request.sent:
                self._up.add(one.values, one.nbytes)
            for wanted in request.wanted:
                self._down.add(wanted, wanted.nbytes)
        self._there = cupy.empty(max(self._up.size, 1), dtype=np.uint8)
        self.back = cupy.empty(self._down.size, dtype=np.uint8)
        self._addresses = self._there.data.ptr, self.back.data.ptr
        self._there.set(self._content(launches))

    def _content(self, launches: Sequence[list[Step]]) -> NDArray[np.uint8]:
        """What goes up: the arguments of all launches, and the arrays that are sent."""
        content = np.zeros(self._there.size, np.uint8)
        for launch in launches:
            entries = b"".join(map(self._entry, launch))
            content[self._up.of(launch)] = np.frombuffer(entries, np.uint8)
        for one in (one for request in self._requests for one in request.sent):
            content[self._up.of(one.values)] = one.values.reshape(-1).view(np.uint8)
        return content

    def _entry(self, step: Step) -> bytes:
        return step.kernels.entry(step.name, step.blocks, list(map(self._value, step.values)))

    def _value(self, value: Any) -> Any:
        """A number, or the address of what has none before it is sent."""
        if isinstance(value, Sent):
            return self._addresses[0] + self._up.of(value.values).start
        if isinstance(value, Wanted):
            return self._addresses[1] + self._down.of(value).start
        return value

    def entries(self, launch: list[Step]) -> Any:
        """The arguments of a launch, on the device."""
        return self._there[self._up.of(launch)]

    def bring(self) -> None:
        """What is no argument of a launch, put beside what is."""
        for wanted in (wanted for request in self._requests for wanted in request.wanted):
            if wanted.source is not None:
                place = self.back[self._down.of(wanted)].view(wanted.dtype)
                place.reshape(wanted.shape)[...] = wanted.source

    def answers(self, content: NDArray[np.uint8]) -> list[Answer]:
        """What is wanted, from what has come back."""

        def answer(wanted: Wanted) -> NDArray[Any]:
            return content[self._down.of(wanted)].view(wanted.dtype).reshape(wanted.shape)

        return [list(map(answer, request.wanted)) for request in self._requests]


class _Places:
    """Where things are in one piece of memory."""

    def __init__(self) -> None:
        self.size = 0
        self._found: dict[int, slice] = {}

    def add(self, thing: Any, size: int) -> None:
        """A place for a thing, unless it has one."""
        if id(thing) not in self._found:
            self._found[id(thing)] = slice(self.size, self.size + size)
            self.size += -(-size // ALIGNMENT) * ALIGNMENT

    def of(self, thing: Any) -> slice:
        """The bytes of a thing."""
        return self._found[id(thing)]
