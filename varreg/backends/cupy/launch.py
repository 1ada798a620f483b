"""Compiling the kernels, and launching them with arguments that are what they say.

CuPy passes addresses and numbers as they come: an array of another type, or a transposed one, would be read as if
it were right.  So each launch is compared with the signature in the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .request import Sent, Step, Wanted
from .source import signatures, source, source_for_many

#: Bytes of shared memory that a block has on every device without asking for more.
SHARED_MEMORY = 48 * 1024


class Kernels:
    """All kernels in one precision.

    Parameters
    ----------
    cupy : module
    dtype : dtype
    """

    def __init__(self, cupy: Any, dtype: Any) -> None:
        code = source(dtype)
        self._cupy, self._signatures = cupy, signatures(code, dtype)
        module = cupy.RawModule(code=source_for_many(code, dtype), options=("-std=c++17",))
        self._functions = {name: module.get_function(name) for name in self._signatures}

    def checked(
        self, name: str, blocks: int, arguments: Sequence[Any], threads: int, shared: int
    ) -> None:
        """Raise if a launch is not what its kernel takes.

        Parameters
        ----------
        name : str
        blocks, threads : int
        arguments : sequence
            As in the source; numbers are converted, arrays are not.
        shared : int
            Bytes of dynamic shared memory of a block.
        """
        limit, parameters, _ = self._signatures[name]
        if not (0 < blocks < 2**31 and 0 < threads <= limit and 0 <= shared <= SHARED_MEMORY):
            raise ValueError(f"{name}: no launch of {blocks} x {threads}, {shared} bytes shared.")
        if len(arguments) != len(parameters):
            raise TypeError(f"{name}: {len(arguments)} arguments for {len(parameters)} parameters.")
        for parameter, value in zip(parameters, arguments, strict=True):
            if parameter.pointer:
                self._check_array(f"{name}: `{parameter.name}`", parameter.dtype, value)

    def _check_array(self, name: str, dtype: Any, value: Any) -> None:
        if not isinstance(value, (self._cupy.ndarray, Sent, Wanted)):
            raise TypeError(f"{name} is no array on the device: {type(value).__name__}.")
        contiguous = isinstance(value, Wanted) or value.flags.c_contiguous
        if value.dtype != dtype or not contiguous:
            raise TypeError(
                f"{name} must be contiguous {dtype}; got {value.dtype}"
                f"{'' if contiguous else ', not contiguous'}."
            )

    def entry_size(self, name: str) -> int:
        """Bytes of the arguments of one pair."""
        return self._signatures[name].entry.size

    def entry(self, name: str, blocks: int, arguments: Sequence[Any]) -> bytes:
        """The arguments of one pair, with the addresses of its arrays."""
        return self._signatures[name].entry.pack(*arguments, blocks)

    def launch(self, steps: Sequence[Step], entries: Any) -> None:
        """Launch a kernel on the current stream.

        Parameters
        ----------
        steps : sequence of Step
            Of one kind, each of another pair.
        entries : (pairs * size,) uint8 array on the device
            :meth:`entry` of each of them.
        """
        grid = max(step.blocks for step in steps), len(steps)
        shared = max(step.shared for step in steps)
        first = steps[0]
        self._functions[first.name](grid, (first.threads,), (entries,), shared_mem=shared)
