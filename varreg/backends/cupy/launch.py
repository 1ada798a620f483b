"""Compilation of the kernels, and launches with validated arguments.

CuPy passes addresses and numbers without type checks: an array of the wrong type, or a transposed one, would be
misinterpreted.  The arguments of each launch are therefore compared with the signature in the source.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .request import Sent, Step, Wanted
from .source import Parameter, signatures, source, source_for_many

#: Bytes of shared memory available to a block on every device by default.
SHARED_MEMORY = 48 * 1024


class Kernels:
    """All kernels in one precision.

    Parameters
    ----------
    cupy : module
    dtype : dtype
        float32 or float64.
    """

    def __init__(self, cupy: Any, dtype: Any) -> None:
        code = source(dtype)
        self._cupy, self._signatures = cupy, signatures(code, dtype)
        module = cupy.RawModule(code=source_for_many(code, dtype), options=("-std=c++17",))
        self._functions = {name: module.get_function(name) for name in self._signatures}

    def checked(
        self, name: str, blocks: int, arguments: Sequence[Any], threads: int, shared: int
    ) -> list[Any]:
        """Validate a launch, and return the numbers and addresses of its arguments.

        Parameters
        ----------
        name : str
            Name of the kernel.
        blocks, threads : int
            Number of blocks, and of threads per block.
        arguments : sequence
            Arguments in the order of the source; numbers are converted, arrays are not.
        shared : int
            Bytes of dynamic shared memory per block.

        Returns
        -------
        list
            Numbers and addresses; arrays without an address yet, Sent and Wanted, are unchanged.

        Raises
        ------
        ValueError
            If the launch configuration is invalid.
        TypeError
            If the number of arguments, or the type or layout of an array is wrong.
        """
        limit, parameters, _ = self._signatures[name]
        if not (0 < blocks < 2**31 and 0 < threads <= limit and 0 <= shared <= SHARED_MEMORY):
            raise ValueError(f"{name}: no launch of {blocks} x {threads}, {shared} bytes shared.")
        if len(arguments) != len(parameters):
            raise TypeError(f"{name}: {len(arguments)} arguments for {len(parameters)} parameters.")
        return [
            self._address(name, parameter, value) if parameter.pointer else value
            for parameter, value in zip(parameters, arguments, strict=True)
        ]

    def _address(self, name: str, parameter: Parameter, value: Any) -> Any:
        on_device = isinstance(value, self._cupy.ndarray)
        if not on_device and not isinstance(value, (Sent, Wanted)):
            raise TypeError(
                f"{name}: `{parameter.name}` is not an array on the device: {type(value).__name__}."
            )
        contiguous = not on_device or value.flags.c_contiguous
        if value.dtype != parameter.dtype or not contiguous:
            raise TypeError(
                f"{name}: `{parameter.name}` must be contiguous {parameter.dtype}; got {value.dtype}"
                f"{'' if contiguous else ', not contiguous'}."
            )
        return value.data.ptr if on_device else value

    def entry_size(self, name: str) -> int:
        """Size in bytes of the arguments of one pair."""
        return self._signatures[name].entry.size

    def entry(self, name: str, blocks: int, values: Sequence[Any]) -> bytes:
        """Packed arguments of one pair: numbers, and addresses of arrays."""
        return self._signatures[name].entry.pack(*values, blocks)

    def launch(self, steps: Sequence[Step], entries: Any) -> None:
        """Launch a kernel on the current stream.

        Parameters
        ----------
        steps : sequence of Step
            Steps of one kind, each of a different pair.
        entries : (pairs * size,) uint8 array on the device
            Concatenation of :meth:`entry` of all steps.
        """
        grid = max(step.blocks for step in steps), len(steps)
        shared = max(step.shared for step in steps)
        first = steps[0]
        self._functions[first.name](grid, (first.threads,), (entries,), shared_mem=shared)
