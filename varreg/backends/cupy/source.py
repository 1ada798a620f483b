"""Source and signatures of the kernels.

Kernels in the ``.cu`` files process one pair of images.  Launches are for any number of pairs: the kernels are
transformed here to take an array of arguments, with one entry per pair, indexed by the second index of the launch grid.
A single pair is an array of one entry, processed by the same machine code, hence with bitwise the same result.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

#: Files of the kernels; the functions of the first are used by all others.
FILES = ("sampling", "histogram", "information", "windows", "warping", "nodes", "folding", "volume",
         "vectors")  # fmt: skip
_KERNEL = re.compile(
    r'extern "C" __global__ void __launch_bounds__\((\d+)((?:, \d+)?)\)\s*(\w+)\((.*?)\)\s*\{',
    re.DOTALL,
)
#: The last argument is the number of blocks of the pair: the launch grid has the largest number of all pairs.
_MANY = """struct {name}_arguments {{ {members} unsigned pair_blocks; }};
static_assert(sizeof({name}_arguments) == {size}, "another layout than that of source.py");

__device__ __forceinline__ void {name}_of_pair({parameters});

extern "C" __global__ void __launch_bounds__({threads}{least})
{name}(const {name}_arguments* __restrict__ pairs)
{{
    const {name}_arguments& own = pairs[blockIdx.y];
    if (blockIdx.x < own.pair_blocks) {name}_of_pair({arguments});
}}

__device__ __forceinline__ void {name}_of_pair({parameters})
{{"""
#: Types in the source, with NumPy type codes and format characters of the module struct.
_TYPES: dict[str, tuple[str, str]] = {
    "double": ("f8", "d"), "float": ("f4", "f"), "int": ("i4", "i"), "short": ("i2", "h"), "unsigned": ("u4", "I"),
    "long long": ("i8", "q"), "unsigned long long": ("u8", "Q"),
}  # fmt: skip


class Parameter(NamedTuple):
    """One argument of a kernel."""

    name: str
    dtype: np.dtype
    pointer: bool
    letter: str  # format character of the module struct
    declaration: str  # type, without the name


class Signature(NamedTuple):
    """Most threads per block of a kernel, its parameters, and the layout of the arguments of one pair."""

    threads: int
    parameters: tuple[Parameter, ...]
    entry: struct.Struct


def source(dtype: Any) -> str:
    """Source of all kernels for one pair, in float32 or float64."""
    folder = Path(__file__).parent
    parts = [(folder / f"{name}.cu").read_text(encoding="utf-8") for name in FILES]
    return "\n".join([f"typedef {_real(dtype)} real;", *parts])


def source_for_many(code: str, dtype: Any) -> str:
    """Transform the source of kernels for one pair into kernels for any number of pairs."""

    def many(match: re.Match[str]) -> str:
        threads, least, name, body = match.groups()
        parameters = _parameters(body, dtype)
        return _MANY.format(
            name=name, threads=threads, least=least, parameters=body, size=_entry(parameters).size,
            members=" ".join(f"{p.declaration} {p.name};" for p in parameters),
            arguments=", ".join(f"own.{p.name}" for p in parameters),
        )  # fmt: skip

    return _KERNEL.sub(many, code)


def signatures(code: str, dtype: Any) -> dict[str, Signature]:
    """Signatures of the kernels of a source for one pair, by name."""
    found = {}
    for threads, _, name, body in _KERNEL.findall(code):
        parameters = _parameters(body, dtype)
        found[name] = Signature(int(threads), parameters, _entry(parameters))
    return found


def _entry(parameters: tuple[Parameter, ...]) -> struct.Struct:
    """Layout of the arguments as by a compiler, padded to a multiple of eight bytes, the size of an address."""
    return struct.Struct("@" + "".join(p.letter for p in parameters) + "I0Q")


def _parameters(body: str, dtype: Any) -> tuple[Parameter, ...]:
    return tuple(_parameter(text, dtype) for text in body.split(","))


def _parameter(text: str, dtype: Any) -> Parameter:
    words = [word for word in text.replace("*", " * ").split() if word != "__restrict__"]
    kind = " ".join(word for word in words[:-1] if word not in ("const", "*"))
    code, letter = _TYPES[_real(dtype) if kind == "real" else kind]
    pointer = "*" in words
    declaration = " ".join(words[:-1])
    return Parameter(words[-1], np.dtype(code), pointer, "Q" if pointer else letter, declaration)


def _real(dtype: Any) -> str:
    return {"float32": "float", "float64": "double"}[np.dtype(dtype).name]
