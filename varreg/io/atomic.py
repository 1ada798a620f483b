"""Atomic creation of files and folders.

Everything is written under a temporary name beside its destination, synchronised to disk, and renamed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import FileError
from .destination import explained, refuse_existing, refuse_foreign, target_of, whole_suffix
from .leftovers import recover, temporary_name, tidy
from .publishing import force_to_disk, publish, publish_all, swap_folder

#: File that identifies a folder as a saved result.
RESULT = "result.json"


@contextmanager
def atomic_path(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` if the block ends without an exception.

    Parameters
    ----------
    path : str or PathLike
        The file to be created; its folder must exist.
    overwrite : bool
        Replace an existing file.

    Yields
    ------
    Path
        An empty file in the same folder with the same suffix (``.nii.gz`` is kept whole).

    Raises
    ------
    FileError
        If `path` exists, is a folder, or cannot be written.  An existing file is then unchanged.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_path(Path(folder) / "note.txt") as temporary:
    ...         _ = temporary.write_text("whole")
    ...     (Path(folder) / "note.txt").read_text()
    'whole'
    """
    with atomic_paths([path], overwrite=overwrite) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(
    paths: Sequence[str | os.PathLike[str]], *, overwrite: bool = False
) -> Iterator[list[Path]]:
    """As :func:`atomic_path` for several files of one folder: either all of them appear, or none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic_paths([Path(folder) / "a", Path(folder) / "b"]) as temporary:
    ...         _ = [path.write_text("whole") for path in temporary]
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['a', 'b']
    """
    targets = [_free_file(path, overwrite) for path in paths]
    names = [temporary_name(whole_suffix(target)) for target in targets]
    pairs = [(target.with_name(name), target) for name, target in zip(names, targets, strict=True)]
    try:
        with explained(targets[0]):
            for temporary, _ in pairs:
                with open(temporary, "xb"):  # shows at once whether the folder is writable
                    pass
            yield [temporary for temporary, _ in pairs]
            for temporary, _ in pairs:
                force_to_disk(temporary)
            if len(pairs) == 1:
                publish(*pairs[0], overwrite)
            else:
                publish_all(pairs, overwrite)
            force_to_disk(targets[0].parent)
    finally:
        for temporary, _ in pairs:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, marker: str = RESULT
) -> Iterator[Path]:
    """Yield a temporary folder that becomes `path` if the block ends without an exception.

    Parameters
    ----------
    path : str or PathLike
        The folder to be created; its parent must exist.
    overwrite : bool
        Replace an existing folder, if it is empty or contains `marker`.
    marker : str
        File name that identifies folders written by varreg; others are never deleted.

    Yields
    ------
    Path
        An empty folder beside `path`.

    Raises
    ------
    FileError
        If `path` exists, may not be replaced, or cannot be written.  An existing folder is then
        unchanged.

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
    temporary = target.with_name(temporary_name())
    try:
        with explained(target):
            temporary.mkdir()
            yield temporary
            for entry in [*temporary.rglob("*"), temporary]:
                force_to_disk(entry)
            swap_folder(temporary, target)
            force_to_disk(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def free_folder(
    path: str | os.PathLike[str], *, overwrite: bool = False, marker: str = RESULT
) -> Path:
    """The absolute path of a folder that :func:`atomic_folder` could create; raises otherwise.

    Parameters
    ----------
    path, overwrite, marker
        As for :func:`atomic_folder`.

    Returns
    -------
    Path
        Nothing is created.

    Raises
    ------
    FileError
        If `path` exists, may not be replaced, or its parent does not exist.

    Examples
    --------
    >>> free_folder("out").name
    'out'
    """
    target = target_of(path)
    tidy(target.parent)
    recover(target)
    refuse_existing(target, overwrite)
    with explained(target):
        refuse_foreign(target, marker)
    return target


def _free_file(path: str | os.PathLike[str], overwrite: bool) -> Path:
    """The absolute path of a file that may be created."""
    target = target_of(path)
    tidy(target.parent)
    with explained(target):
        is_folder = target.is_dir()
    if is_folder:
        raise FileError(f"varreg: {str(path)!r} is a folder; give the name of a file.")
    refuse_existing(target, overwrite)
    return target
