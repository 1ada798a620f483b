"""One safetensors file with tensors and a JSON description, read with suspicion.

The description stands in the metadata, under one key so that the same tensors give the same bytes,
beside a checksum of everything.  safetensors' own loader sees to it that the tensors fill the file;
nothing is unpickled, and nothing is loaded before the header shows the names, shapes and types wanted.
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

KEY = "learned"  # of the metadata
LARGEST_FILE = 1 << 32  # bytes
_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
Content = dict[str, Any]
#: Names, shapes and types; the values do not count.
Layout = Mapping[str, Tensor]


class Misfit(FileError):
    """What is wrong with the content of a file; the reader of the file adds which file."""


def to_bytes(
    tensors: Mapping[str, Tensor], kind: str, version: int, content: Content, function: str
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
        content = json.loads(json.dumps(content, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{function}: the description is not JSON ({error}).") from error
    for name, tensor in tensors.items():
        if tensor.dtype not in _DTYPES.values():
            raise InputError(f"{function}: {name!r} is {tensor.dtype}, which cannot be written.")
    # copies of their own: safetensors refuses views and shared storage
    dense = torch.contiguous_format
    own = {name: t.detach().cpu().clone(memory_format=dense) for name, t in tensors.items()}
    if not_finite(own):
        raise InputError(f"{function}: {not_finite(own)}; nothing is written.")
    described = {"format": kind, "version": version, "content": content}
    described["sha256"] = _checksum(own, described)
    data = safetensors.torch.save(own, {KEY: json.dumps(described)})
    if len(data) > LARGEST_FILE:
        raise InputError(f"{function}: these {len(data)} bytes are more than can be read again.")
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
    """Read a file that holds what :func:`to_bytes` gave.

    Parameters
    ----------
    path : str or PathLike
        May begin with ``~``.
    kind, version : str, int
    function : str
        Name for the messages.
    wanted : callable or None
        Description -> the tensors that there must be, asked before any is loaded; what it raises is
        what is wrong with the file.
    largest : int
        Bytes; a longer file is refused unread.

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
    try:
        file = _regular(path, largest)
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"{function}: {path!r} cannot be read ({error}).") from error
    try:
        return _tensors(file, kind, version, wanted)
    except Exception as error:  # a file may be damaged in ways nobody has thought of
        known = isinstance(error, (FileError, InputError))
        reason = str(error).rstrip(".") if known else f"{type(error).__name__}: {error}"
        raise FileError(
            f"{function}: {os.fspath(path)!r} is not a usable {kind} file: {reason}."
        ) from error


def mismatch(tensors: Mapping[str, Any], wanted: Layout) -> str:
    """What distinguishes the names, shapes and types of tensors from the wanted ones, or ""."""
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
    """Which tensor has nan or infinity in it, or ""."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return f"{name!r} is not finite"
    return ""


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, named without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}


def state_of(module: nn.Module, function: str) -> dict[str, Tensor]:
    """The state dict of a module, if there is nothing but tensors in it."""
    if not isinstance(module, nn.Module):
        raise InputError(
            f"{function}: the model must be a torch module; got {type(module).__name__}."
        )
    state = module.state_dict()
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise InputError(f"{function}: {name!r} of the model is no tensor but {type(value)}.")
    return state


def _regular(path: str | os.PathLike[str], largest: int) -> Path:
    """The file, once it is known to be one and not too long: a pipe would never end."""
    file = Path(os.fsdecode(path)).expanduser()
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if status.st_size > largest:
        raise ValueError(f"its {status.st_size} bytes are more than the {largest} allowed")
    return file


def _tensors(
    file: Path, kind: str, version: int, wanted: Callable[[Content], Layout] | None
) -> tuple[dict[str, Tensor], Content]:
    """Everything is checked here, from the outside in."""
    with safetensors.safe_open(file, framework="pt") as opened:
        described = json.loads((opened.metadata() or {}).get(KEY, "null"))
        if not isinstance(described, dict) or described.get("format") != kind:
            raise Misfit(f"it does not say that it is a {kind}, but {shown(described)}")
        if described.get("version") != version:
            raise Misfit(
                f"its version is {shown(described.get('version'))}; only {version} is known"
            )
        if not isinstance(described.get("content"), dict):
            raise Misfit(f"its description is no object but {shown(described.get('content'))}")
        layout = {name: _empty(opened.get_slice(name)) for name in opened.keys()}
        wrong = "" if wanted is None else mismatch(layout, wanted(described["content"]))
        if wrong:
            raise Misfit(wrong)
        tensors = {name: opened.get_tensor(name) for name in sorted(layout)}
    if _checksum(tensors, described) != described.get("sha256"):
        raise Misfit("its checksum differs: it is not the file that was written")
    if not_finite(tensors):
        raise Misfit(not_finite(tensors))
    return tensors, described["content"]


def _empty(part: Any) -> Tensor:
    """A tensor of the shape and type in the header, without memory."""
    if part.get_dtype() not in _DTYPES:
        raise Misfit(f"it has numbers of the unknown type {part.get_dtype()!r}")
    return torch.empty(part.get_shape(), dtype=_DTYPES[part.get_dtype()], device="meta")


def _checksum(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> str:
    """SHA-256 of all names, types, shapes, values and of the description, in hexadecimal."""
    layout = [[name, str(t.dtype), list(t.shape)] for name, t in sorted(tensors.items())]
    words = [described[key] for key in ("format", "version", "content")]
    digest = hashlib.sha256(json.dumps([words, layout]).encode())
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
