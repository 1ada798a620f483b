"""Sending of requests of any number of pairs, with one launch per kernel, one transfer in each direction, and one wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .request import Request, Sent, Step, Wanted

#: Alignment, in bytes, of arrays that are transferred together, as for separate allocations.
ALIGNMENT = 256
Answer = list[NDArray[Any]]


def send(cupy: Any, requests: Sequence[Request]) -> list[Answer]:
    """Send requests and wait for their results.

    The result of a request does not depend on the other requests.

    Parameters
    ----------
    cupy : module
    requests : sequence of Request
        Requests that write to disjoint memory.

    Returns
    -------
    list of list of array
        Arrays transferred back, for each request.
    """
    parcel = sent(cupy, requests)
    return parcel.answers(fetched(cupy, [parcel.back])[0])


def sent(cupy: Any, requests: Sequence[Request]) -> Parcel:
    """:func:`send` without waiting for the results."""
    launches = list(_launches(requests))
    parcel = Parcel(cupy, requests, launches)
    for launch in launches:
        launch[0].kernels.launch(launch, parcel.entries(launch))
    parcel.bring()
    return parcel


def fetched(cupy: Any, backs: Sequence[Any]) -> list[NDArray[np.uint8]]:
    """Bytes transferred back from several parcels, with a single wait if there are any."""
    parts = [back for back in backs if back.size]
    if not parts:
        return [np.empty(0, np.uint8) for _ in backs]
    content = cupy.asnumpy(parts[0] if len(parts) == 1 else cupy.concatenate(parts))
    ends = np.cumsum([back.size for back in backs])
    return [content[end - back.size : end] for end, back in zip(ends, backs, strict=True)]


def _launches(requests: Sequence[Request]) -> Iterator[list[Step]]:
    """Steps of all requests, grouped by kind; the order within each request is preserved."""
    waiting = [deque(request.steps) for request in requests]
    while waiting := [steps for steps in waiting if steps]:
        kind = waiting[0][0].kind
        yield [steps.popleft() for steps in waiting if steps[0].kind == kind]


class Parcel:
    """Data of requests transferred to the device, on construction, and back, each as one block of memory.

    Attributes
    ----------
    back : (bytes,) uint8 array on the device
        Data to be transferred back.
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
        """Data transferred to the device: the arguments of all launches, and the sent arrays."""
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
        """Number or address of an argument; arrays of the parcel have addresses only now."""
        if isinstance(value, Sent):
            return self._addresses[0] + self._up.of(value.values).start
        if isinstance(value, Wanted):
            return self._addresses[1] + self._down.of(value).start
        return value

    def entries(self, launch: list[Step]) -> Any:
        """Arguments of a launch, on the device."""
        return self._there[self._up.of(launch)]

    def bring(self) -> None:
        """Copy the wanted arrays that are not arguments of a launch to the block transferred back."""
        for wanted in (wanted for request in self._requests for wanted in request.wanted):
            if wanted.source is not None:
                place = self.back[self._down.of(wanted)].view(wanted.dtype)
                place.reshape(wanted.shape)[...] = wanted.source

    def answers(self, content: NDArray[np.uint8]) -> list[Answer]:
        """Results of the requests, extracted from the transferred bytes."""

        def answer(wanted: Wanted) -> NDArray[Any]:
            return content[self._down.of(wanted)].view(wanted.dtype).reshape(wanted.shape)

        return [list(map(answer, request.wanted)) for request in self._requests]


class _Places:
    """Positions of objects in one block of memory."""

    def __init__(self) -> None:
        self.size = 0
        self._found: dict[int, slice] = {}

    def add(self, thing: Any, size: int) -> None:
        """Reserve memory for an object, unless it has been reserved already."""
        if id(thing) not in self._found:
            self._found[id(thing)] = slice(self.size, self.size + size)
            self.size += -(-size // ALIGNMENT) * ALIGNMENT

    def of(self, thing: Any) -> slice:
        """Slice of the bytes of an object."""
        return self._found[id(thing)]
