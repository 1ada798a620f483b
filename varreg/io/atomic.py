"""Files and folders that appear whole or not at all.

Everything is built under a temporary name beside its destination, forced to disk, and renamed.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import FileError, VarregError

_PREFIX = ".varreg-"
#: The file that makes a folder a saved result.
RESULT = "result.json"

# Faults of the destination; any other OSError in the caller's block is the caller's own.
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


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path that becomes `path` if the block ends without an exception.

    Parameters
    ----------
    path : str or PathLike
        The file to be made; its folder must exist.
    overwrite : bool
        Replace an existing file.

    Yields
    ------
    Path
        An empty file in the same folder with the same suffix (``.nii.gz`` is kept whole).

    Raises
    ------
    FileError
        If `path` exists, is a folder, or cannot be written.  What existed before is untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    target = _target(path)
    with _explained(target):
        is_folder = target.is_dir()
    if is_folder:
        raise FileError(f"varreg: {str(path)!r} is a folder; give the name of a file.")
    _refuse_existing(target, overwrite)
    temporary = target.with_name(_PREFIX + secrets.token_hex(8) + _whole_suffix(target))
    try:
        with _explained(target):
            with open(temporary, "xb"):  # shows at once whether the folder can be written
                pass
            yield temporary
            _force_to_disk(temporary)
            _publish(temporary, target, overwrite)
            _force_to_disk(target.parent)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, marker: str = RESULT
) -> Iterator[Path]:
    """Give a temporary folder that becomes `path` if the block ends without an exception.

    Parameters
    ----------
    path : str or PathLike
        The folder to be made; its parent must exist.
    overwrite : bool
        Replace an existing folder, if it is empty or contains `marker`.
    marker : str
        File name that tells a folder of ours from one that must not be deleted.

    Yields
    ------
    Path
        An empty folder beside `path`.

    Raises
    ------
    FileError
        If `path` exists, may not be replaced, or cannot be written.  What existed before is
        untouched.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with atomic_folder(Path(parent) / "out") as temporary:
    ...         _ = (temporary / "result.json").write_text("{}")
    ...     [entry.name for entry in (Path(parent) / "out").iterdir()]
    ['result.json']
    """
    target = free_folder(path, overwrite=overwrite, marker=marker)
    temporary = target.with_name(_PREFIX + secrets.token_hex(8))
    try:
        with _explained(target):
            temporary.mkdir()
            yield temporary
            for entry in [*temporary.rglob("*"), temporary]:
                _force_to_disk(entry)
            _swap_folder(temporary, target)
            _force_to_disk(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def free_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, marker: str = RESULT
) -> Path:
    """The absolute path of a folder that :func:`atomic_folder` would make, refused if it would not.

    Parameters
    ----------
    path, overwrite, marker
        As for :func:`atomic_folder`.

    Returns
    -------
    Path
        Nothing is made.

    Raises
    ------
    FileError
        If `path` exists, may not be replaced, or has no folder to be in.

    Examples
    --------
    >>> free_folder("out").name
    'out'
    """
    target = _target(path)
    _refuse_existing(target, overwrite)
    with _explained(target):
        _refuse_foreign(target, marker)
    return target


def _target(path: str | os.PathLike[str]) -> Path:
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


def _refuse_existing(target: Path, overwrite: bool) -> None:
    """Nothing is replaced unasked, a dangling link neither."""
    if os.path.lexists(target) and not overwrite:
        raise FileError(
            f"varreg: {str(target)!r} exists; pass overwrite=True (command line: --force) or give "
            "another name."
        )


def _refuse_foreign(target: Path, marker: str) -> None:
    """Raise unless a folder may be deleted: absent, empty, or marked as ours."""
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
def _explained(target: Path) -> Iterator[None]:
    """Turn faults of the disk into a `FileError` with a remedy."""
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


def _whole_suffix(path: Path) -> str:
    """The suffix that decides the file type, both parts of ``.nii.gz``."""
    compressed = path.suffix.lower() in (".gz", ".bz2", ".xz", ".zst")
    return "".join(path.suffixes[-2:]) if compressed else path.suffix


def _force_to_disk(path: Path) -> None:
    """After a crash a renamed file must not be found empty; some file systems cannot do folders."""
    if path.is_dir():
        with suppress(OSError):
            _synchronise(path, os.O_RDONLY)
    else:
        _synchronise(path, os.O_RDWR)


def _synchronise(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _publish(temporary: Path, target: Path, overwrite: bool) -> None:
    """Rename; without `overwrite` a file that has come up meanwhile is not replaced either."""
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)  # unlike a rename it fails if the name is taken
    except OSError:
        _refuse_existing(target, overwrite)
        os.rename(temporary, target)  # a file system without hard links


def _swap_folder(temporary: Path, target: Path) -> None:
    """Move the old folder aside, the new one in; put the old one back if that fails."""
    if not os.path.lexists(target):
        os.rename(temporary, target)
        return
    aside = target.with_name(temporary.name + "-old")
    os.rename(target, aside)
    try:
        os.rename(temporary, target)
    except BaseException:
        os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)
