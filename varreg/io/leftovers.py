"""Recovery after killed runs: temporary names identify their process, and later runs remove or complete the files.

The name of a temporary file or folder contains machine and process.  Those of ended processes are
removed, after completing what they had begun to publish.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import secrets
import shutil
import socket
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

logger = logging.getLogger(__name__)

PREFIX = ".varreg-"
JOURNAL = ".journal"
#: Age (s) after which temporary files of an unknown machine are removed.
LONGEST_RUN = 7 * 24 * 3600.0
_NAME = re.compile(r"\.varreg-([0-9a-f]{8})-(\d+)-[0-9a-f]{16}(\..*)?", re.DOTALL)


def temporary_name(suffix: str = "") -> str:
    """A new temporary name for a file or folder of this process.

    Examples
    --------
    >>> temporary_name(".nii.gz").startswith(".varreg-")
    True
    """
    return f"{PREFIX}{_machine()}-{os.getpid()}-{secrets.token_hex(8)}{suffix}"


def recover(target: Path) -> None:
    """Complete what an ended process had begun to publish, if `target` may be missing for this reason."""
    if not os.path.lexists(target):
        tidy(target.parent, again=True)


def tidy(folder: Path, again: bool = False) -> None:
    """Complete what ended processes had begun to publish in a folder, and remove their other temporary files.

    Once per folder and process, unless `again`; files that cannot be removed are left.
    """
    if (os.getpid(), str(folder)) in _tidied and not again:
        return
    _tidied.add((os.getpid(), str(folder)))
    with suppress(OSError), os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if _is_left(entry)]
        for path in left:
            if path.suffix == JOURNAL:
                _finish(path)
        for path in left:
            _remove(path)


_tidied: set[tuple[int, str]] = set()


@lru_cache(maxsize=1)
def _machine() -> str:
    """Identifier of machine and container: process numbers are only unique within one."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{socket.gethostname()} {space}".encode()).hexdigest()[:8]


def _is_left(entry: os.DirEntry[str]) -> bool:
    """Whether a name is that of a temporary file or folder of an ended process."""
    named = _NAME.fullmatch(entry.name)
    if named is None:
        return False
    if named[1] == _machine() and os.name == "posix":
        return not _lives(int(named[2]))
    with suppress(OSError):
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > LONGEST_RUN
    return False


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # the process of another user
        return True
    return True


def _finish(journal: Path) -> None:
    """Publish the files named in a journal; an incomplete journal was written before any publication, and is ignored."""
    try:
        names = json.loads(journal.read_text(encoding="utf-8"))
        pairs = [(journal.with_name(a), journal.with_name(b)) for a, b in names]
    except (OSError, ValueError, TypeError):
        return
    for temporary, target in pairs:
        with suppress(OSError):
            if not _NAME.fullmatch(temporary.name):
                continue
            if temporary.is_file() or (temporary.is_dir() and not os.path.lexists(target)):
                os.replace(temporary, target)
                logger.warning(
                    "varreg: %s is published, which a run that was killed had begun.", target
                )


def _remove(path: Path) -> None:
    logger.debug("removed: %s, left by a process that is gone", path)
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
