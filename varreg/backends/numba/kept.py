"""Fault-tolerant cache of compiled kernels on disk.

Files that cannot be read are deleted, and kernels that cannot be stored are compiled again.  Numba itself raises
if no folder is writable, if a file of its cache is truncated, and if the disk is full.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache

from ..compilation import kernel_awaited

logger = logging.getLogger(__name__)

#: Reason why kernels of this process are not cached; empty if they are.
reasons: list[str] = []


class TolerantCache(FunctionCache):
    """Cache of a function whose errors cause recompilation instead of exceptions."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Compiled code for a signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # unpickling a damaged file may raise any exception
            logger.debug("dropped from the cache of compiled kernels: %r: %r", self, error)
            self._drop()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store the compiled code for a signature, if possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            warn_of_no_cache(f"{self.cache_path}: {error.strerror or error}")
            self._drop()  # an index without its data is useless
        except Exception as error:  # the index is read first, and may be damaged
            logger.debug("dropped from the cache of compiled kernels: %r: %r", self, error)
            self._drop()

    def _drop(self) -> None:
        for path in Path(self.cache_path).glob(f"{self._impl.filename_base}.*"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.debug("%s stays: %s", path, error)


def kept(dispatcher: Any) -> Any:
    """Cache the machine code of a compiled function on disk, if there is a writable folder."""
    compiled = dispatcher.compile

    def compile_or_load(signature: Any) -> Any:  # or waits for another thread
        with kernel_awaited():
            return compiled(signature)

    dispatcher.compile = compile_or_load
    try:
        dispatcher._cache = TolerantCache(dispatcher.py_func)  # as in enable_caching
    except RuntimeError:  # its message is only "no locator"
        warn_of_no_cache("neither the package's folder nor one of the user's is writable")
    return dispatcher


def warn_of_no_cache(reason: str) -> None:
    """Warn once per process that kernels are not cached, with the reason."""
    if reasons:
        return
    reasons.append(reason)
    logger.warning(
        "varreg: compiled kernels cannot be cached (%s): every process compiles them again, "
        "10 to 15 s or more; set NUMBA_CACHE_DIR to a writable folder.",
        reason,
    )
