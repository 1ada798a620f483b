"""What one pair asks of the device at a time: launches one after the other, what they need and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .launch import Kernels

#: Threads of a block; the kernels say so, too.
THREADS = 256


class Sent:
    """An array of the host that goes up with its request, in the place of one on the device.

    Parameters
    ----------
    values : array
        Not to be written to before the answer is there.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = np.ascontiguousarray(values)
        self.dtype, self.nbytes = self.values.dtype, self.values.nbytes


class Wanted:
    """An array on the device, with any content at first, that comes back with the answer.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    source : array on the device, optional
        What it is, once all launches are made, if it is not an argument of one of them.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, source: Any = None) -> None:
        self.shape, self.dtype, self.source = shape, np.dtype(dtype), source
        self.nbytes = int(np.prod(shape)) * self.dtype.itemsize


class Step(NamedTuple):
    """One launch of a request."""

    kernels: Kernels
    name: str
    blocks: int
    arguments: tuple[Any, ...]  # whose memory must live until they are used
    values: list[Any]  # the same as numbers and addresses
    threads: int
    shared: int

    @property
    def kind(self) -> tuple[int, str, int]:
        """Steps of one kind can be one launch."""
        return id(self.kernels), self.name, self.threads


class Request:
    """Launches for one pair, which may be made again from the first one on with the same answer.

    Parameters
    ----------
    kernels : Kernels
        In the precision of all launches.

    Attributes
    ----------
    steps : list of Step
    sent : list of Sent
        What goes up.
    wanted : list of Wanted
        What comes back, in the order of the answer.
    kept : tuple
        What must live until the launches are made.
    """

    def __init__(self, kernels: Kernels) -> None:
        self.kept: tuple[Any, ...] = ()
        self.kernels = kernels
        self.steps: list[Step] = []
        self.sent: list[Sent] = []
        self.wanted: list[Wanted] = []

    def wants(self, shape: tuple[int, ...], dtype: Any) -> Wanted:
        """An argument whose content comes back."""
        self.wanted.append(Wanted(shape, dtype))
        return self.wanted[-1]

    def brings(self, array: Any) -> None:
        """An array on the device that comes back."""
        self.wanted.append(Wanted(array.shape, array.dtype, array))

    def launch(
        self, name: str, blocks: int, *arguments: Any, threads: int = THREADS, shared: int = 0
    ) -> None:
        """One more launch, after the others; see :meth:`varreg.backends.cupy.launch.Kernels.checked`."""
        values = self.kernels.checked(name, blocks, arguments, threads, shared)
        self.steps.append(Step(self.kernels, name, blocks, arguments, values, threads, shared))
        self.sent += [value for value in values if isinstance(value, Sent)]

    def cover(self, name: str, count: int, *arguments: Any) -> None:
        """One more launch, with a thread for each of `count` entries."""
        self.launch(name, -(-count // THREADS), *arguments)


def joined(requests: Sequence[Request]) -> Request:
    """One request for several, the answers of which follow each other."""
    if len(requests) == 1:
        return requests[0]
    found = Request(requests[0].kernels)
    for request in requests:
        found.steps += request.steps
        found.sent += request.sent
        found.wanted += request.wanted
    found.kept = tuple(request.kept for request in requests)
    return found
