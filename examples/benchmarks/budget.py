"""Benchmark reports within a time limit: written after each row, with a list of omitted parts.

A part has items, each of which yields rows of its table, and a share of the time limit.  An item starts while the share
of its part lasts, and is interrupted at its end, by a signal where the system supports it (not
on Windows).  An item that does not react, such as a hanging kernel, is ended with the process at the limit.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tables import markdown

Rows = list[list[str]]
LEFT_OUT = "left out: time"
#: Exit code of a process that was ended at the limit, and seconds that even an empty report takes.
ENDED, LEAST = 124, 2.0


class TimeUp(BaseException):
    """The time of a part is over; no Exception, so that nothing on the way takes it for a failure of its own."""


@dataclass(frozen=True)
class Item:
    """Something to be done, and the rows that come of it.

    Attributes
    ----------
    name : str
        First cell of its row if it is left out or fails.
    compute : callable
    """

    name: str
    compute: Callable[[], Rows]


@dataclass
class Part:
    """A table of the report.

    Attributes
    ----------
    name, description : str
        Heading, and what stands below it.
    header : tuple of str
    share : float
        Of the limit.
    items : callable
        Called when the part begins.
    render : callable
        Rows to text, a table by default.
    """

    name: str
    description: str
    header: tuple[str, ...]
    share: float
    items: Callable[[], Iterable[Item]]
    render: Callable[[Rows], str] | None = None

    def text(self, rows: Rows) -> str:
        """The table of rows, which may be shorter than the header."""
        width = len(self.header)
        even = [[*row, *[""] * (width - len(row))] for row in rows]
        return self.render(even) if self.render else markdown(self.header, even)


@dataclass
class Report:
    """The text so far, in a file.

    Attributes
    ----------
    title : str
    output : Path
    seconds : float
        Limit of the whole.
    now : callable
        Seconds of a clock.
    """

    title: str
    output: Path
    seconds: float
    now: Callable[[], float] = time.perf_counter
    sections: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.begun = self.now()

    @property
    def left(self) -> float:
        """Seconds."""
        return self.seconds - (self.now() - self.begun)

    def add(self, parts: Iterable[Part]) -> None:
        """The parts in their order; each begins with its share of the limit, or what is left of it."""
        parts = list(parts)
        for part in parts:
            self.sections[part.name] = f"Not reached, {LEFT_OUT}."
        for part in parts:
            self._add(part)
            sys.stdout.write(f"## {part.name}\n\n{self.sections[part.name]}\n\n")
            sys.stdout.flush()

    def _add(self, part: Part) -> None:
        begun, rows = self.now(), list[list[str]]()
        until = begun + min(part.share * self.seconds, self.left)

        def write() -> None:
            description = f"{part.description} ({self.now() - begun:.0f} s)"
            self.sections[part.name] = f"{description}\n\n{part.text(rows)}"
            self.write()

        if until <= begun:
            self.sections[part.name] = f"{part.description}\n\n{LEFT_OUT.capitalize()}."
            return self.write()
        for item in self._items(part, rows):
            if self.now() >= until:
                rows.append([item.name, LEFT_OUT])
            else:
                rows += _rows(item, until - self.now())
            write()
        return write()

    def _items(self, part: Part, rows: Rows) -> Iterable[Item]:
        try:
            return list(part.items())
        except Exception as error:  # a report of what failed is worth more than none
            rows.append([part.name, _failure(error)])
            return []

    def write(self) -> None:
        """The whole text, in place of what was there before."""
        parts = [f"## {name}\n\n{text}" for name, text in self.sections.items()]
        new = self.output.with_name(self.output.name + ".part")
        new.write_text("\n\n".join([self.title, *parts]) + "\n", encoding="utf-8")
        os.replace(new, self.output)

    @contextlib.contextmanager
    def ended_at_the_limit(self) -> Iterator[None]:
        """End the process at the limit if it is still in here, with what has been written."""

        def end() -> None:
            sys.stderr.write(f"ended at the limit of {self.seconds:.0f} s: {self.output}\n")
            sys.stderr.flush()
            os._exit(ENDED)

        watch = threading.Timer(max(self.left, LEAST), end)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()


@contextlib.contextmanager
def interrupted(seconds: float) -> Iterator[None]:
    """Raise :class:`TimeUp` in here after so many seconds, where the system has such signals."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_: object) -> None:
        raise TimeUp

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _rows(item: Item, seconds: float) -> Rows:
    """The rows of an item, or one that says why there are none."""
    try:
        with interrupted(seconds):
            return item.compute()
    except TimeUp:
        return [[item.name, LEFT_OUT]]
    except Exception as error:
        return [[item.name, _failure(error)]]


def _failure(error: Exception) -> str:
    return f"FAILED: {type(error).__name__}: {error}".replace("\n", " ").replace("|", "/")
