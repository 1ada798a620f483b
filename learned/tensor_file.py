"""One safetensors file with tensors and a JSON description, read with suspicion.

The description stands in the metadata, under one key so that the same tensors give the same bytes,
beside a checksum of everything.  Before a tensor is made, the header is compared with what the file
can hold; nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from varreg.errors import FileError, InputError

from .messages import shown
from .regular_file import regular_file
from .strict_json import parse_json

KEY = "learned"  # of the metadata
LARGEST_FILE, LARGEST_HEADER = 1 << 32, 1 << 24  # bytes
_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1,
    "BOOL": 1,
}  # fmt: skip
_DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


class Damage(FileError):
    """What is wrong with the content of a file; the reader of the file adds which file."""


def to_bytes(
    tensors: Mapping[str, Tensor], kind: str, version: int, content: dict[str, Any], function: str
) -> bytes:
    """A safetensors file with a description in its metadata.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Finite, of any layout and device; two names may share one storage.
    kind, version : str, int
        What :func:`read_tensors` must be told to read it.
    content : dict
        The description, of values that JSON holds.
    function : str
        Name for the messages.

    Raises
    ------
    InputError
        If a tensor is not finite or of an unusual type, or `content` is not JSON.
    """
    try:
        if parse_json(json.dumps(content, allow_nan=False)) != _lists(content):
            raise ValueError("it does not come back as it was; are all its keys texts?")
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{function}: the description is not JSON ({error}).") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES:
            raise InputError(f"{function}: {name!r} is {tensor.dtype}, which cannot be written.")
    # copies of their own: safetensors refuses views and shared storage
    dense = torch.contiguous_format
    own = {name: t.detach().cpu().clone(memory_format=dense) for name, t in tensors.items()}
    bad = not_finite(own)
    if bad:
        raise InputError(f"{function}: {bad} is not finite; nothing is written.")
    described = {"format": kind, "version": version, "content": content}
    described["sha256"] = _checksum(own, described)
    data = safetensors.torch.save(own, {KEY: json.dumps(described)})
    if len(data) > LARGEST_FILE or int.from_bytes(data[:8], "little") > LARGEST_HEADER:
        raise InputError(f"{function}: these {len(data)} bytes are more than can be read again.")
    return data


def read_tensors(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    function: str,
    largest: int = LARGEST_FILE,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file that holds what :func:`to_bytes` gave.

    Returns
    -------
    tensors : dict of str to Tensor
    content : dict
        The description.

    Raises
    ------
    FileError
        If anything at all is wrong with it; the message says what.
    """
    data = _content(path, function, largest)
    try:
        return _tensors(data, kind, version)
    except Exception as error:  # a file may be damaged in ways nobody has thought of
        reason = str(error) if isinstance(error, Damage) else f"{type(error).__name__}: {error}"
        raise FileError(
            f"{function}: {os.fspath(path)!r} is not a usable {kind} file: {reason}."
        ) from error


def not_finite(tensors: Mapping[str, Tensor]) -> str:
    """The name of the first tensor with nan or infinity in it, in quotes, or ""."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return repr(name)
    return ""


def _content(path: str | os.PathLike[str], function: str, largest: int) -> bytes:
    """The bytes of a regular file that is not too long."""
    try:
        with open(regular_file(path, largest), "rb") as stream:
            # a number that is too large would be taken of memory at once
            return stream.read(min(largest, os.fstat(stream.fileno()).st_size))
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"{function}: {path!r} cannot be read ({error}).") from error


def _tensors(data: bytes, kind: str, version: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything is checked here, from the outside in."""
    header, size = _header(data)
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {KEY}:
        raise Damage(f"it does not say that it is a {kind}")
    described = parse_json(metadata[KEY])
    if not isinstance(described, dict) or described.get("format") != kind:
        raise Damage(f"it does not say that it is a {kind}, but {shown(described)}")
    if described.get("version") != version:
        raise Damage(f"its version is {shown(described.get('version'))}; only {version} is known")
    if set(described) != {"format", "version", "content", "sha256"}:
        raise Damage(f"its description has the keys {shown(sorted(described))}")
    if not isinstance(described["content"], dict):
        raise Damage(f"its description is no object but {shown(described['content'])}")
    _check_layout(header, size)
    tensors = dict(sorted(safetensors.torch.load(data).items()))  # its own order is random
    if _checksum(tensors, described) != described["sha256"]:
        raise Damage("its checksum differs: it is not the file that was written")
    bad = not_finite(tensors)
    if bad:
        raise Damage(f"{bad} is not finite")
    return tensors, described["content"]


def _header(data: bytes) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file, and the number of bytes that follow it."""
    if len(data) < 8:
        raise Damage(f"it ends after {len(data)} bytes")
    length = int.from_bytes(data[:8], "little")
    if length > min(len(data) - 8, LARGEST_HEADER):
        raise Damage(f"it claims a header of {length} bytes: it is truncated, or something else")
    try:
        header = parse_json(data[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Damage(f"its header cannot be read ({error})") from error
    if not isinstance(header, dict):
        raise Damage("its header is no object")
    return header, len(data) - 8 - length


def _check_layout(header: Mapping[str, Any], size: int) -> None:
    """Tensors must fill the bytes after the header, one after the other."""
    for name, entry in header.items():
        if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
            raise Damage(f"{shown(name)} is not described by dtype, shape and data_offsets")
        if not isinstance(entry["dtype"], str) or entry["dtype"] not in _BYTES:
            raise Damage(f"{shown(name)} has the unknown type {shown(entry['dtype'])}")
        for key, lengths in (("shape", range(9)), ("data_offsets", (2,))):
            numbers = entry[key]
            good = isinstance(numbers, list) and len(numbers) in lengths
            if not good or any(type(n) is not int or not 0 <= n <= LARGEST_FILE for n in numbers):
                raise Damage(f"{shown(name)} has the {key} {shown(numbers)}")
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        start, stop = entry["data_offsets"]
        if start != end or stop - start != math.prod(entry["shape"]) * _BYTES[entry["dtype"]]:
            raise Damage(f"{shown(name)} does not fill the bytes {start} to {stop} that it claims")
        end = stop
    if end != size:
        raise Damage(f"its tensors take {end} bytes, and it has {size}: it is truncated or damaged")


def _checksum(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> str:
    """SHA-256 of all names, types, shapes, values and of the description, in hexadecimal."""
    layout = [[name, str(t.dtype), list(t.shape)] for name, t in sorted(tensors.items())]
    words = [described[key] for key in ("format", "version", "content")]
    digest = hashlib.sha256(json.dumps([words, layout]).encode())
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _lists(value: Any) -> Any:
    """The value with lists for tuples, as JSON gives it back."""
    if isinstance(value, Mapping):
        return {key: _lists(entry) for key, entry in value.items()}
    return [_lists(entry) for entry in value] if isinstance(value, (list, tuple)) else value
