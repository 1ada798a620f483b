"""Renaming of temporary files to their final names, safe against termination at any time."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .destination import refuse_existing
from .leftovers import JOURNAL, temporary_name

_HERE, _EXCHANGE = -100, 2  # AT_FDCWD, RENAME_EXCHANGE of Linux
_CANNOT = (errno.ENOSYS, errno.EINVAL, errno.EXDEV, errno.EOPNOTSUPP)


def force_to_disk(path: Path) -> None:
    """Synchronise a file to disk, so that it is not empty after a crash; some file systems do not support folders."""
    if path.is_dir():
        with suppress(OSError):
            _synchronise(path, os.O_RDONLY)
    else:
        _synchronise(path, os.O_RDWR)


def publish(temporary: Path, target: Path, overwrite: bool) -> None:
    """Rename a file; without `overwrite`, a file created in the meantime is not replaced either."""
    if overwrite:
        os.replace(temporary, target)
        return
    try:
        os.link(temporary, target)  # unlike renaming, fails if the name exists
    except OSError:
        refuse_existing(target, overwrite)
        os.rename(temporary, target)  # a file system without hard links


def publish_all(pairs: Sequence[tuple[Path, Path]], overwrite: bool) -> None:
    """Rename files of one folder, all or none.

    A journal is written first, so that the next run can complete an interrupted publication.
    """
    journal = pairs[0][1].with_name(temporary_name(JOURNAL))
    kept: dict[Path, Path] = {}
    done = list[Path]()
    try:
        for _, target in pairs if overwrite else ():
            if os.path.lexists(target):
                kept[target] = target.with_name(temporary_name())
                _copy(target, kept[target])
        _write_journal(pairs, journal)
        for temporary, target in pairs:
            publish(temporary, target, overwrite)
            done.append(target)
    except BaseException:
        for target in done:
            with suppress(OSError):
                os.replace(kept[target], target) if target in kept else target.unlink()
        raise
    finally:
        for path in (journal, *kept.values()):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def swap_folder(temporary: Path, target: Path) -> None:
    """Rename a folder; an existing one is exchanged to the temporary name or removed."""
    if not os.path.lexists(target):
        os.rename(temporary, target)
    elif not exchange(temporary, target):
        _replace_folder(temporary, target)


def _replace_folder(temporary: Path, target: Path) -> None:
    """Replace in two steps, between which the name does not exist: a journal lets the next run complete it."""
    aside, journal = (target.with_name(temporary_name(suffix)) for suffix in ("", JOURNAL))
    try:
        _write_journal([(temporary, target)], journal)
        os.rename(target, aside)
        try:
            os.rename(temporary, target)
        except BaseException:
            os.rename(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        with suppress(OSError):
            journal.unlink(missing_ok=True)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names atomically; False if the system does not support it."""
    if sys.platform != "linux":
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), ctypes.c_uint(_EXCHANGE)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _write_journal(pairs: Sequence[tuple[Path, Path]], path: Path) -> None:
    """Record the mapping of temporary to final names before the first renaming."""
    names = [[temporary.name, target.name] for temporary, target in pairs]
    path.write_text(json.dumps(names), encoding="utf-8")
    force_to_disk(path)
    force_to_disk(path.parent)


def _copy(path: Path, to: Path) -> None:
    try:
        os.link(path, to)
    except OSError:
        shutil.copy2(path, to)


def _synchronise(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
