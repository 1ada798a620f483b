"""What one pair asks of the device at a time: launches one after the other, what they need and what comes back."""

from __future__ import annotations

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
    """

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        self.shape, self.dtype = shape, np.dtype(dtype)
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
    """

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.steps: list[Step] = []
        self.sent: list[Sent] = []
        self.wanted: list[Wanted] = []

    def wants(self, shape: tuple[int, ...], dtype: Any) -> Wanted:
        """An argument whose content comes back."""
        self.wanted.append(Wanted(shape, dtype))
        return self.wanted[-1]

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
