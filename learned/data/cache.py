"""Arrays that take seconds to prepare, kept as ``.npy`` files."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varreg.errors import FileError
from varreg.io.atomic import atomic_path

logger = logging.getLogger(__name__)

_VERSION = 1  # raised when what is kept is computed in another way


def cached(
    prepare: Callable[[], NDArray[Any]],
    kind: str,
    paths: Sequence[Path],
    spacing: float,
    cache: str | os.PathLike[str] | None,
) -> NDArray[Any]:
    """What `prepare` gives, from the cache if the files behind it have not changed.

    Parameters
    ----------
    prepare : callable
        Makes the array.
    kind : str
        What it is; begins the name of the file.
    paths : sequence of Path
        Files that it is made of; their places, sizes and times are the key.
    spacing : float
        Another part of the key, mm.
    cache : str, PathLike or None
        Folder, made if need be; None keeps nothing.

    Returns
    -------
    array
        Read-only and mapped from the file if it was there.

    Raises
    ------
    FileError
        If the folder or a file of `paths` cannot be used.

    Examples
    --------
    >>> cached(lambda: np.zeros(3), "zeros", [], 1.0, None).tolist()
    [0.0, 0.0, 0.0]
    """
    if cache is None:
        return prepare()
    folder = Path(os.fsdecode(cache)).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        states = [(str(p.resolve()), p.stat().st_size, p.stat().st_mtime_ns) for p in paths]
    except OSError as error:
        raise FileError(
            f"cached: the folder {str(folder)!r} or one of {list(map(str, paths))} cannot be used "
            f"({error}); give another folder as `cache` and check the files."
        ) from error
    key = json.dumps([_VERSION, kind, float(spacing), states])
    file = folder / f"{kind}-{hashlib.sha256(key.encode()).hexdigest()[:32]}.npy"
    if file.is_file():
        try:
            return np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            logger.warning("cache file %s is damaged (%s); it is rebuilt.", file, error)
    result = prepare()
    with atomic_path(file, overwrite=True) as temporary:
        np.save(temporary, result, allow_pickle=False)
    return result
