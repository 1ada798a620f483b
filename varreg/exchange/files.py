"""Untrusted transform files: opening, size limits, and conversion of all errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import FileError, VarregError
from ..io.leftovers import tidy

FUNCTION = "varreg.read_transform"
_LONGEST_TEXT = 64 * 2**20  # bytes; parameter files of B-splines are long, but not longer


def checked_path(value: str | os.PathLike[str]) -> Path:
    """A path to an existing, regular, non-empty file.

    Parameters
    ----------
    value : str or PathLike

    Returns
    -------
    Path

    Raises
    ------
    FileError
        Otherwise.

    Examples
    --------
    >>> checked_path("absent.mat")
    Traceback (most recent call last):
    varreg.errors.FileError: varreg.read_transform: 'absent.mat' does not exist; ...
    """
    with explained(value):
        path = Path(os.fsdecode(value)).expanduser()
        tidy(path.parent)  # of a pair, one file may be missing, or outdated
        if not path.exists():
            problem = f"does not exist; check the path (working folder: {str(Path.cwd())!r})"
        elif not path.is_file():
            problem = "is not a regular file; give the file of a transform or a saved result"
        elif path.stat().st_size == 0:
            problem = "is empty (0 bytes); copy or make it again"
        else:
            return path
    raise FileError(f"{FUNCTION}: {os.fspath(value)!r} {problem}.")


@contextmanager
def explained(source: Any) -> Iterator[None]:
    """Convert any exception of a library to a `FileError`; exceptions of varreg are not changed."""
    try:
        yield
    except VarregError:
        raise
    except Exception as error:  # damaged files can raise any exception
        words = " ".join(str(error).split())[:300]
        raise FileError(
            f"{FUNCTION}: {str(source)!r} cannot be read ({type(error).__name__}: {words}); check "
            "that the file is complete and of the type of its extension."
        ) from error


def text_of(path: Path) -> str:
    """The text of a file; `FileError` if it is not text or longer than any transform.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.txt")
    ...     _ = path.write_text("1 0 0")
    ...     text_of(path)
    '1 0 0'
    """
    with explained(path):
        if path.stat().st_size > _LONGEST_TEXT:
            raise FileError(f"{FUNCTION}: {str(path)!r} is too long for a transform in text.")
        return path.read_text(encoding="utf-8")


def is_text(path: Path) -> bool:
    """Whether a file starts with text.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "a.mat")
    ...     _ = path.write_bytes(bytes(4))
    ...     is_text(path)
    False
    """
    with explained(path), open(path, "rb") as stream:
        beginning = stream.read(256)
    return b"\0" not in beginning
