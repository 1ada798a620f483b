"""Announcement of the compilation of kernels, which delays the first call."""

from __future__ import annotations

import logging

from numba.core import event

from .kept import reasons

logger = logging.getLogger(__name__)


class Announcement(event.Listener):
    """Listener that warns once per process when a kernel is compiled that is not in the cache on disk."""

    def __init__(self) -> None:
        self.made = False

    def on_start(self, event: event.Event) -> None:
        module = event.data["dispatcher"].py_func.__module__
        if not self.made and module.startswith(__package__):
            self.made = True
            if reasons:  # already reported, and "once" would be wrong
                return
            # at level warning, because the default level hides others
            logger.warning(
                "varreg: compiling kernels once, 10 to 15 s; later runs load them from the cache."
            )

    def on_end(self, event: event.Event) -> None:
        """Do nothing; required by the interface."""


def announce_compilation() -> None:
    """Register the warning for the next compilation of a kernel."""
    event.register("numba:compile", Announcement())
