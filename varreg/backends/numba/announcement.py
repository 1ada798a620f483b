"""A word before the first kernel is compiled: nothing else explains the wait."""

from __future__ import annotations

import logging

from numba.core import event

from .kept import reasons

logger = logging.getLogger(__name__)


class Announcement(event.Listener):
    """Warns once per process, when a kernel is compiled that neither it nor Numba's cache on disk holds."""

    def __init__(self) -> None:
        self.made = False

    def on_start(self, event: event.Event) -> None:
        module = event.data["dispatcher"].py_func.__module__
        if not self.made and module.startswith(__package__):
            self.made = True
            if reasons:  # has been said, and "once" would be wrong
                return
            # a warning, because it must be seen
            logger.warning(
                "varreg: compiling kernels once, 10 to 15 s; later runs load them from the cache."
            )

    def on_end(self, event: event.Event) -> None:
        """Nothing is left to say."""


def announce_compilation() -> None:
    """Warn before the first kernel that is compiled from now on."""
    event.register("numba:compile", Announcement())
