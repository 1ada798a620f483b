"""Validation of output paths, and conversion of disk errors."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import FileError, InputError, VarregError

# Errors of the destination; any other OSError in the caller's block is not converted.
_REMEDIES = {
    errno.ENOSPC: "free some disk space",
    errno.EDQUOT: "free some of the disk quota",
    errno.EFBIG: "choose a file system that holds files of this size",
    errno.EROFS: "choose a folder that is not read-only",
    errno.EACCES: "choose a folder you may write to",
    errno.EPERM: "choose a folder you may write to",
    errno.EIO: "check the disk",
    errno.ENAMETOOLONG: "choose a shorter name",
}


def usable_path(value: Any, function: str, argument: str = "path") -> Path:
    """Validate a path given as text, bytes or path object.

    Raises
    ------
    InputError
        Otherwise.

    Examples
    --------
    >>> usable_path(3, "f")
    Traceback (most recent call last):
    ...
    varreg.errors.InputError: f: `path` is 3, which is not a path; give text or a pathlib.Path.
    """
    try:
        path = Path(os.fsdecode(value)).expanduser()
        if "\0" not in str(path):
            return path
    except (TypeError, ValueError, RuntimeError):
        pass
    raise InputError(
        f"{function}: `{argument}` is {value!r}, which is not a path; give text or a pathlib.Path."
    )


def target_of(path: str | os.PathLike[str]) -> Path:
    """Absolute path whose parent folder exists."""
    try:
        target = Path(os.path.abspath(Path(os.fsdecode(path)).expanduser()))
        if "\0" in str(target):
            raise ValueError("it contains a null character")
        parent_exists = target.parent.is_dir()
    except (OSError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(
            f"varreg: {path!r} is not a usable path ({error}); give another."
        ) from error
    if not parent_exists:
        raise FileError(
            f"varreg: the folder {str(target.parent)!r} does not exist; make it before writing "
            f"{target.name!r}."
        )
    return target


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Raise if the target exists and may not be replaced, including dangling links."""
    if os.path.lexists(target) and not overwrite:
        raise FileError(
            f"varreg: {str(target)!r} exists; pass overwrite=True (command line: --force) or "
            "choose another name."
        )


def refuse_foreign(target: Path, marker: str) -> None:
    """Raise unless a folder may be deleted: absent, empty, or written by varreg."""
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir():
        raise FileError(
            f"varreg: {str(target)!r} is not a folder (or a link to one); give another name."
        )
    if any(target.iterdir()) and not (target / marker).is_file():
        raise FileError(
            f"varreg: the folder {str(target)!r} holds files but no {marker!r}, so it is not one "
            "that varreg wrote and is not replaced; give another name or empty it yourself."
        )


@contextmanager
def explained(target: Path) -> Iterator[None]:
    """Convert disk errors to a `FileError` with a remedy."""
    try:
        yield
    except VarregError:
        raise
    except OSError as error:
        remedy = _REMEDIES.get(error.errno or 0)
        if remedy is None:
            raise
        raise FileError(
            f"varreg: {str(target)!r} cannot be written ({error.strerror or error}); {remedy}."
        ) from error


def whole_suffix(path: Path) -> str:
    """The suffix that determines the file type, both parts of ``.nii.gz``."""
    compressed = path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst")
    return "".join(path.suffixes[-2:]) if compressed else path.suffix
