"""What is looked at before a file from outside is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def regular_file(path: str | os.PathLike[str], largest: int) -> Path:
    """The file to be read, once it is known to be one and not too long: a pipe would never end.

    Parameters
    ----------
    path : str or PathLike
        May begin with ``~``.
    largest : int
        Bytes that it may have.

    Raises
    ------
    OSError, RuntimeError, TypeError, ValueError
        If there is no such file, or its path is none, or it is no regular file or too long; the
        reader adds which file.

    Examples
    --------
    >>> regular_file(".", 100)
    Traceback (most recent call last):
    ValueError: it is no regular file
    """
    file = Path(os.fsdecode(path)).expanduser()
    status = file.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if status.st_size > largest:
        raise ValueError(f"its {status.st_size} bytes are more than the {largest} allowed")
    return file
