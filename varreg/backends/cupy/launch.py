"""Compiling the kernels, and launching them with arguments that are what they say.

CuPy passes addresses and numbers as they come: an array of another type, or a transposed one, would be read as if
it were right.  So each launch is compared with the signature in the source.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

#: The files of the kernels; those of the first are used by all others.
FILES = ("sampling", "histogram", "information", "windows", "warping", "nodes", "folding", "volume")
#: Threads of a block; the kernels say so, too.
THREADS = 256
#: Bytes of shared memory that a block has on every device without asking for more.
SHARED_MEMORY = 48 * 1024
_KERNEL = re.compile(
    r'extern "C" __global__ void __launch_bounds__\((\d+)(?:, \d+)?\)\s*(\w+)\((.*?)\)\s*\{',
    re.DOTALL,
)
_TYPES: dict[str, str] = {
    "double": "f8", "int": "i4", "short": "i2", "unsigned": "u4", "long long": "i8",
    "unsigned long long": "u8",
}  # fmt: skip


class Parameter(NamedTuple):
    """One argument of a kernel."""

    name: str
    dtype: np.dtype
    pointer: bool


class Signature(NamedTuple):
    """What a kernel takes, and the most threads of a block."""

    threads: int
    parameters: tuple[Parameter, ...]


def source(dtype: Any) -> str:
    """The source of all kernels in a precision, float32 or float64."""
    real = {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
    folder = Path(__file__).parent
    parts = [(folder / f"{name}.cu").read_text(encoding="utf-8") for name in FILES]
    return "\n".join([f"typedef {real} real;", *parts])


def signatures(code: str, dtype: Any) -> dict[str, Signature]:
    """Every kernel of a source by its name."""
    types = {**{name: np.dtype(kind) for name, kind in _TYPES.items()}, "real": np.dtype(dtype)}
    return {
        name: Signature(int(threads), tuple(_parameter(text, types) for text in body.split(",")))
        for threads, name, body in _KERNEL.findall(code)
    }


def _parameter(text: str, types: dict[str, np.dtype]) -> Parameter:
    words = text.replace("*", " * ").split()
    kind = " ".join(w for w in words[:-1] if w not in ("const", "__restrict__", "*"))
    return Parameter(words[-1], types[kind], "*" in words)


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
        module = cupy.RawModule(code=code, options=("-std=c++17",))
        self._functions = {name: module.get_function(name) for name in self._signatures}

    def launch(
        self, name: str, blocks: int, *arguments: Any, threads: int = THREADS, shared: int = 0
    ) -> None:
        """Launch a kernel on the current stream.

        Parameters
        ----------
        name : str
        blocks, threads : int
        *arguments
            As in the source; numbers are converted, arrays are not.
        shared : int
            Bytes of dynamic shared memory of a block.
        """
        limit, parameters = self._signatures[name]
        if not (0 < blocks < 2**31 and 0 < threads <= limit and 0 <= shared <= SHARED_MEMORY):
            raise ValueError(f"{name}: no launch of {blocks} x {threads}, {shared} bytes shared.")
        if len(arguments) != len(parameters):
            raise TypeError(f"{name}: {len(arguments)} arguments for {len(parameters)} parameters.")
        checked = (self._argument(name, p, a) for p, a in zip(parameters, arguments, strict=True))
        self._functions[name]((blocks,), (threads,), tuple(checked), shared_mem=shared)

    def cover(self, name: str, count: int, *arguments: Any) -> None:
        """Launch a kernel with a thread for each of `count` entries."""
        self.launch(name, -(-count // THREADS), *arguments)

    def _argument(self, name: str, parameter: Parameter, value: Any) -> Any:
        if not parameter.pointer:
            return parameter.dtype.type(value)
        if not isinstance(value, self._cupy.ndarray):
            raise TypeError(
                f"{name}: `{parameter.name}` is no array on the device: {type(value).__name__}."
            )
        if value.dtype != parameter.dtype or not value.flags.c_contiguous:
            raise TypeError(
                f"{name}: `{parameter.name}` must be contiguous {parameter.dtype}; got {value.dtype}"
                f"{'' if value.flags.c_contiguous else ', not contiguous'}."
            )
        return value
