"""Fingerprint of all determinants of a job's result: content of its inputs, settings, version."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .._version import __version__
from ..errors import FileError
from ..io.records import plain

_BLOCK = 2**20
#: File formats in two parts: the other file has the same stem.
_IN_TWO = (".hdr", ".img", ".mhd", ".nhdr")


def fingerprint(
    work: Callable[..., Any], contents: Mapping[str, str | None], settings: Mapping[str, Any]
) -> str:
    """SHA-256 of all determinants of a result, in hexadecimal.

    Parameters
    ----------
    work : callable
        Executed function; its name is included.
    contents : mapping
        Role -> :func:`content_hash` of that input, None if absent.
    settings : mapping
        Plain JSON values, or dataclasses of them.

    Examples
    --------
    >>> one = fingerprint(sorted, {"moving": "ab"}, {"bins": 32})
    >>> one == fingerprint(sorted, {"moving": "ab"}, {"bins": 64})
    False
    """
    fields = {
        "varreg": __version__,
        "work": f"{work.__module__}.{work.__qualname__}",
        "inputs": dict(contents),
        "settings": {key: plain(value) for key, value in settings.items()},
    }
    text = json.dumps(fields, sort_keys=True, default=_refuse)
    return hashlib.sha256(text.encode()).hexdigest()


def content_hash(path: Path, known: Mapping[str, Any] | None = None) -> str:
    """SHA-256 of a file, or of all files of a folder including their names.

    Parameters
    ----------
    path : Path
    known : mapping, optional
        An earlier result of :func:`described`.  If path, size and modification time are unchanged, its hash is returned
        without reading.

    Raises
    ------
    FileError
        If a file cannot be read.
    """
    try:
        if is_unchanged(path, known):
            assert known is not None
            return str(known["sha256"])
        total = hashlib.sha256()
        for file in _files(path):
            total.update(file.name.encode(errors="surrogateescape") if path.is_dir() else b"")
            total.update(_digest(file))
        return total.hexdigest()
    except OSError as error:
        raise FileError(
            f"varreg: the input {str(path)!r} cannot be read ({error.strerror or error}); check that it is there."
        ) from error


def is_unchanged(path: Path, known: Mapping[str, Any] | None) -> bool:
    """Whether an input has the path, size and modification time of an earlier :func:`described`."""
    if known is None or "sha256" not in known:
        return False
    try:
        return bool(known.get("files") == states(path))
    except FileError:
        return False


def described(path: Path) -> dict[str, Any]:
    """The hash of an input, and the file attributes for detecting changes without reading.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a").write_text("image")
    ...     known = described(Path(folder) / "a")
    ...     content_hash(Path(folder) / "a", known) == known["sha256"]
    True
    """
    found = states(path)  # before reading: a change in the meantime is detected later
    return {"files": found, "sha256": content_hash(path)}


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return sorted(entry for entry in path.rglob("*") if entry.is_file())
    if path.suffix.lower() in _IN_TWO:
        return sorted(entry for entry in path.parent.glob(f"{path.stem}.*") if entry.is_file())
    return [path]


def states(path: Path) -> list[list[Any]]:
    """Path, size in bytes and modification time (ns) of every file."""
    try:
        found = [(file, os.stat(file)) for file in _files(path)]
    except OSError as error:
        raise FileError(
            f"varreg: the input {str(path)!r} cannot be read ({error.strerror or error}); check that it is there."
        ) from error
    return [[os.path.abspath(file), state.st_size, state.st_mtime_ns] for file, state in found]


def _digest(file: Path) -> bytes:
    digest = hashlib.sha256()
    with open(file, "rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.digest()


def _refuse(value: Any) -> Any:
    raise TypeError(f"settings of a job are plain JSON values, not {type(value).__name__}")
