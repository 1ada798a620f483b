"""Requests: sequences of launches for one pair, with the arrays transferred to the device and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from .launch import Kernels

#: Threads per block, as in the launch bounds of the kernels.
THREADS = 256


class Sent:
    """A host array that is transferred to the device with its request.

    Parameters
    ----------
    values : array
        It must not be written to before the result is available.
    """

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = np.ascontiguousarray(values)
        self.dtype, self.nbytes = self.values.dtype, self.values.nbytes


class Wanted:
    """A device array, initially of arbitrary content, that is transferred back with the result.

    Parameters
    ----------
    shape : tuple of int
    dtype : dtype
    source : array on the device, optional
        Array whose content after all launches is transferred, if it is not itself an argument of a launch.
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any, source: Any = None) -> None:
        self.shape, self.dtype, self.source = shape, np.dtype(dtype), source
        self.nbytes = int(np.prod(shape)) * self.dtype.itemsize


class Step(NamedTuple):
    """One launch of a request."""

    kernels: Kernels
    name: str
    blocks: int
    arguments: tuple[Any, ...]  # kept alive until the launch
    values: list[Any]  # the arguments as numbers and addresses
    threads: int
    shared: int

    @property
    def kind(self) -> tuple[int, str, int]:
        """Steps of the same kind can be combined into one launch."""
        return id(self.kernels), self.name, self.threads


class Request:
    """Sequence of launches for one pair, which can be repeated with the same result.

    Parameters
    ----------
    kernels : Kernels
        Kernels in the precision of all launches.

    Attributes
    ----------
    steps : list of Step
        The launches.
    sent : list of Sent
        Arrays transferred to the device.
    wanted : list of Wanted
        Arrays transferred back, in the order of the result.
    kept : tuple
        Objects kept alive until the launches.
    """

    def __init__(self, kernels: Kernels) -> None:
        self.kept: tuple[Any, ...] = ()
        self.kernels = kernels
        self.steps: list[Step] = []
        self.sent: list[Sent] = []
        self.wanted: list[Wanted] = []

    def add_output(self, shape: tuple[int, ...], dtype: Any) -> Wanted:
        """Add an argument of launches whose content is transferred back."""
        self.wanted.append(Wanted(shape, dtype))
        return self.wanted[-1]

    def fetch(self, array: Any) -> None:
        """Add a device array that is transferred back."""
        self.wanted.append(Wanted(array.shape, array.dtype, array))

    def launch(
        self, name: str, blocks: int, *arguments: Any, threads: int = THREADS, shared: int = 0
    ) -> None:
        """Append a launch; see :meth:`varreg.backends.cupy.launch.Kernels.checked`."""
        values = self.kernels.checked(name, blocks, arguments, threads, shared)
        self.steps.append(Step(self.kernels, name, blocks, arguments, values, threads, shared))
        self.sent += [value for value in values if isinstance(value, Sent)]

    def cover(self, name: str, count: int, *arguments: Any) -> None:
        """Append a launch with one thread for each of `count` entries."""
        self.launch(name, -(-count // THREADS), *arguments)


def joined(requests: Sequence[Request]) -> Request:
    """Concatenation of several requests, and of their results."""
    if len(requests) == 1:
        return requests[0]
    found = Request(requests[0].kernels)
    for request in requests:
        found.steps += request.steps
        found.sent += request.sent
        found.wanted += request.wanted
    found.kept = tuple(request.kept for request in requests)
    return found
