"""safetensors files with tensors and a JSON description, validated when read.

The description and a checksum of the whole content are stored under one key of the metadata, so that equal content
gives equal bytes.  The loader of safetensors checks that the tensors fill the file.  Nothing is unpickled, and no
tensor is loaded before names, shapes and types in the header have been validated.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from varreg.errors import FileError, InputError

from .fields import shown

KEY = "learned"  # key in the metadata
LARGEST_FILE = 1 << 32  # bytes
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
Content = dict[str, Any]
#: Names, shapes and types of tensors; their values are not used.
Layout = Mapping[str, Tensor]


class Misfit(FileError):
    """Invalid content of a file, without the name of the file."""


def to_bytes(
    tensors: Mapping[str, Tensor], kind: str, version: int, content: Content, function: str
) -> bytes:
    """Content of a safetensors file with a description in its metadata.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Finite tensors, in any memory layout and on any device; they may share storage.
    kind, version : str, int
        Format and version of the file, as for :func:`read_tensors`.
    content : dict
        Description, serialisable as JSON.
    function : str
        Function name for error messages.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        If a tensor is not finite or has an unsupported type, or `content` is not serialisable.
    """
    try:
        content = json.loads(json.dumps(content, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(
            f"{function}: the description cannot be written as JSON ({error})."
        ) from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES.values():
            raise InputError(f"{function}: {name!r} is {tensor.dtype}, which cannot be written.")
    # copies, because safetensors refuses views and shared storage
    dense = torch.contiguous_format
    own = {name: t.detach().cpu().clone(memory_format=dense) for name, t in tensors.items()}
    if not_finite(own):
        raise InputError(f"{function}: {not_finite(own)}; nothing is written.")
    described = {"format": kind, "version": version, "content": content}
    described["sha256"] = _checksum(own, described)
    data = safetensors.torch.save(own, {KEY: json.dumps(described)})
    if len(data) > LARGEST_FILE:
        raise InputError(
            f"{function}: the file would have {len(data)} bytes, more than the limit of {LARGEST_FILE}."
        )
    return data


def read_tensors(
    path: str | os.PathLike[str],
    kind: str,
    version: int,
    function: str,
    *,
    wanted: Callable[[Content], Layout] | None = None,
    largest: int = LARGEST_FILE,
) -> tuple[dict[str, Tensor], Content]:
    """Read and validate a file with the content of :func:`to_bytes`.

    Parameters
    ----------
    path : str or PathLike
        Path of the file; it may begin with ``~``.
    kind, version : str, int
        Expected format and version.
    function : str
        Function name for error messages.
    wanted : callable or None
        Function from the description to the expected tensors, called before any tensor is loaded; its
        errors are reported as errors of the file.
    largest : int
        Largest file size in bytes; larger files are not read.

    Returns
    -------
    tensors : dict of str to Tensor
        Tensors on the CPU.
    content : dict
        Description.

    Raises
    ------
    FileError
        If the file cannot be read or is invalid.
    """
    try:
        file = _regular(path, largest)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"{function}: {path!r} cannot be read ({error}).") from error
    try:
        return _tensors(file, kind, version, wanted)
    except Exception as error:  # damaged files cause arbitrary errors
        known = isinstance(error, (FileError, InputError))
        reason = str(error).rstrip(".") if known else f"{type(error).__name__}: {error}"
        raise FileError(
            f"{function}: {os.fspath(path)!r} is not a valid {kind} file: {reason}."
        ) from error


def mismatch(tensors: Mapping[str, Any], wanted: Layout) -> str:
    """Description of the first difference in names, shapes and types, or ""."""
    for name in wanted:
        if name not in tensors:
            return f"{name!r} is missing"
    for name, tensor in tensors.items():
        if name not in wanted:
            return f"{name!r} is unexpected"
        expected = wanted[name]
        if not isinstance(tensor, Tensor):
            return f"{name!r} is a {type(tensor).__name__}"
        if tensor.shape != expected.shape or tensor.dtype != expected.dtype:
            return (
                f"{name!r} has shape {tuple(tensor.shape)} ({tensor.dtype}) instead of "
                f"{tuple(expected.shape)} ({expected.dtype})"
            )
    return ""


def not_finite(tensors: Mapping[str, Tensor]) -> str:
    """Description of the first tensor with nan or infinity, or ""."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return f"{name!r} is not finite"
    return ""


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, by the names without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def state_of(module: nn.Module, function: str) -> dict[str, Tensor]:
    """State dict of a module; an InputError if it contains anything but tensors."""
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{function}: the model must be a torch module; got {type(module).__name__}."
        )
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise InputError(
                f"{function}: {name!r} of the model is not a tensor but a {type(value).__name__}."
            )
    return state


def _regular(path: str | os.PathLike[str], largest: int) -> Path:
    """Path of a regular file of limited size; reading e.g. a pipe might never end."""
    file = Path(os.fsdecode(path)).expanduser()
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is not a regular file")
    if status.st_size > largest:
        raise ValueError(f"its size of {status.st_size} bytes exceeds the limit of {largest}")
    return file


def _tensors(
    file: Path, kind: str, version: int, wanted: Callable[[Content], Layout] | None
) -> tuple[dict[str, Tensor], Content]:
    """Validated tensors and description: metadata first, then header, then values."""
    with safetensors.safe_open(file, framework="pt") as opened:
        described = json.loads((opened.metadata() or {}).get(KEY, "null"))
        if not isinstance(described, dict) or described.get("format") != kind:
            raise Misfit(f"its metadata do not describe a {kind}, but are {shown(described)}")
        if described.get("version") != version:
            raise Misfit(
                f"its version is {shown(described.get('version'))}; only {version} is supported"
            )
        if not isinstance(described.get("content"), dict):
            raise Misfit(f"its description is not an object but {shown(described.get('content'))}")
        layout = {name: _empty(opened.get_slice(name)) for name in opened.keys()}
        wrong = "" if wanted is None else mismatch(layout, wanted(described["content"]))
        if wrong:
            raise Misfit(wrong)
        tensors = {name: opened.get_tensor(name) for name in sorted(layout)}
    if _checksum(tensors, described) != described.get("sha256"):
        raise Misfit("its checksum is wrong: the file was modified or damaged")
    if not_finite(tensors):
        raise Misfit(not_finite(tensors))
    return tensors, described["content"]


def _empty(part: Any) -> Tensor:
    """Meta tensor with the shape and type in the header."""
    if part.get_dtype() not in _DTYPES:
        raise Misfit(f"it has tensors of the unsupported type {part.get_dtype()!r}")
    return torch.empty(part.get_shape(), dtype=_DTYPES[part.get_dtype()], device="meta")


def _checksum(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> str:
    """Hexadecimal SHA-256 of all names, types, shapes, values and the description."""
    layout = [[name, str(t.dtype), list(t.shape)] for name, t in sorted(tensors.items())]
    words = [described[key] for key in ("format", "version", "content")]
    digest = hashlib.sha256(json.dumps([words, layout]).encode())
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
