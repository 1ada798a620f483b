"""Ctrl-C and termination: the first one asks for an orderly end, the second does not wait for it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

logger = logging.getLogger(__name__)

#: What a process that was terminated from outside ends with.
TERMINATED = 128 + signal.SIGTERM


class Interruption:
    """Remembers the signal that asked for an end.

    Attributes
    ----------
    signal : int
        Its number, 0 until there is one.
    """

    def __init__(self) -> None:
        self.signal = 0

    def end(self, message: str) -> None:
        """Raise what the signal stands for.

        Raises
        ------
        KeyboardInterrupt
            With the message; after Ctrl-C, here or in another process.
        SystemExit
            After a termination.
        """
        if self.signal == signal.SIGTERM:
            logger.warning("learned: terminated; %s", message)
            raise SystemExit(TERMINATED)
        raise KeyboardInterrupt(message)


@contextmanager
def heed_signals() -> Iterator[Interruption]:
    """Within the block the first SIGINT or SIGTERM is remembered; a second one interrupts at once.

    Outside the main thread, where Python has no signals, nothing happens.

    Examples
    --------
    >>> with heed_signals() as interruption:
    ...     signal.raise_signal(signal.SIGINT)
    ...     interruption.signal == signal.SIGINT
    True
    """
    interruption = Interruption()

    def remember(number: int, frame: FrameType | None) -> None:
        if interruption.signal:
            raise KeyboardInterrupt("a second signal; the last checkpoint stands")
        interruption.signal = number

    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {n: signal.signal(n, remember) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_interrupts(_: int = 0) -> None:
    """For processes that prepare data: signals to the whole group reach them too, and their parent
    decides: it needs them until its checkpoint is written.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
