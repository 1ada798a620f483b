"""Compiled kernels on disk: what cannot be read there is dropped, and what cannot be kept is compiled again.

Numba by itself raises where no folder can be written, where a file of its cache is cut short, and where
the disk is full.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from numba.core.caching import FunctionCache

from ..compilation import kernel_awaited

logger = logging.getLogger(__name__)

#: Why kernels are not kept in this process; empty if they are.
reasons: list[str] = []


class TolerantCache(FunctionCache):
    """Numba's cache of a function, whose faults cost time and nothing else."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was compiled for a signature, or None."""
        try:
            return super().load_overload(sig, target_context)
        except Exception as error:  # unpickling a damaged file may raise anything
            logger.debug("dropped from the cache of compiled kernels: %r: %r", self, error)
            self._drop()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, if that is possible."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            warn_of_no_cache(f"{self.cache_path}: {error.strerror or error}")
            self._drop()  # an index without its data is no use
        except Exception as error:  # it reads the index first
            logger.debug("dropped from the cache of compiled kernels: %r: %r", self, error)
            self._drop()

    def _drop(self) -> None:
        for path in Path(self.cache_path).glob(f"{self._impl.filename_base}.*"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logger.debug("%s stays: %s", path, error)


def kept(dispatcher: Any) -> Any:
    """A compiled function whose machine code is kept on disk; as it is where no folder for that can be written."""
    compiled = dispatcher.compile

    def compile_or_load(signature: Any) -> Any:  # waits for another thread that does, too
        with kernel_awaited():
            return compiled(signature)

    dispatcher.compile = compile_or_load
    try:
        dispatcher._cache = TolerantCache(dispatcher.py_func)  # what enable_caching does
    except RuntimeError:  # says no more than that there is "no locator"
        warn_of_no_cache("neither the package's folder nor one of the user's is writable")
    return dispatcher


def warn_of_no_cache(reason: str) -> None:
    """Say once per process that kernels are not kept, and why."""
    if reasons:
        return
    reasons.append(reason)
    logger.warning(
        "varreg: compiled kernels cannot be cached (%s): every process compiles them again, "
        "10 to 15 s or more; set NUMBA_CACHE_DIR to a writable folder.",
        reason,
    )
