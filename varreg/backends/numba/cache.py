"""Numba's cache on disk, kept honest.

Numba decides by the source file of a function whether what it finds compiled is up to date, but not by
the files of the functions that it calls: after an upgrade the old rows would live on inside the new
kernels.  So a stamp of all sources lies beside the cache; where it differs, the index is dropped.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

STAMP = "varreg-kernels.stamp"


def cache_folder(kernel: Any) -> Path | None:
    """Where Numba keeps what it compiled of the file of a kernel, if anywhere."""
    folder = kernel.stats.cache_path
    return None if folder is None else Path(folder)


def drop_stale(kernel: Any) -> None:
    """Forget what was compiled from other sources than these."""
    folder = cache_folder(kernel)
    if folder is None:
        return
    stamp = sources_stamp()
    try:
        if (folder / STAMP).is_file() and (folder / STAMP).read_bytes() == stamp.encode():
            return
        for index in folder.glob("*.nbi"):
            if index.name.split(".")[0] in _modules():
                index.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / STAMP).write_text(stamp)
    except OSError as error:  # a folder that cannot be written holds no cache of ours
        logger.debug("the cache of compiled kernels is left as it is: %s", error)


def is_kept(kernel: Any) -> bool:
    """Whether the cache on disk holds a kernel, for whatever arguments."""
    folder, name = cache_folder(kernel), f"{kernel.__module__.split('.')[-1]}.{kernel.__name__}"
    return folder is not None and any(folder.glob(f"{name}-*.nbi"))


def sources_stamp() -> str:
    """Hash of all kernel sources, and of the tuples that they are called with."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in (here.parent / "arrays.py", *sorted(here.glob("*.py"))):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _modules() -> set[str]:
    return {source.stem for source in Path(__file__).parent.glob("*.py")}
