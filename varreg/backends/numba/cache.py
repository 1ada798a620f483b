"""Invalidation of Numba's cache on disk.

Numba checks only the source file of a function to decide whether the cached machine code is up to date, not
the files of the functions called by it: after an upgrade, kernels would contain outdated inlined functions.
A hash of all sources is therefore stored beside the cache; if it differs, the index is deleted.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

STAMP = "varreg-kernels.stamp"


def cache_folder(kernel: Any) -> Path | None:
    """Folder of Numba's cache for the file of a kernel, or None."""
    folder = kernel.stats.cache_path
    return None if folder is None else Path(folder)


def drop_stale(kernel: Any) -> None:
    """Delete the index of kernels compiled from different sources."""
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
    except OSError as error:  # a read-only folder has no cache of this package
        logger.debug("the cache of compiled kernels is left as it is: %s", error)


def is_kept(kernel: Any) -> bool:
    """Whether the cache on disk holds a kernel, for any types of arguments."""
    folder, name = cache_folder(kernel), f"{kernel.__module__.split('.')[-1]}.{kernel.__name__}"
    return folder is not None and any(folder.glob(f"{name}-*.nbi"))


def sources_stamp() -> str:
    """Hash of all kernel sources, and of the definitions of their arguments."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for source in (here.parent / "arrays.py", *sorted(here.glob("*.py"))):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _modules() -> set[str]:
    return {source.stem for source in Path(__file__).parent.glob("*.py")}
