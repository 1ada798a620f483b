"""A progress bar for people at a terminal or a notebook; silent everywhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TextIO

from ..optimise.history import Iteration

_FORMAT = "|{bar:24}| {elapsed}  {desc}"
_COUNT = "|{bar:24}| {n_fmt}/{total_fmt} {unit}  {elapsed}<{remaining}"


class ProgressBar:
    """One line on a terminal or in a notebook: stage, level, iteration and energy.

    How many iterations a level takes is not known beforehand, so the bar counts finished levels.

    Parameters
    ----------
    total_levels : int
        Levels of all stages together.
    stream : text file, optional
        Where to draw, stderr by default.  Nothing is drawn if it is neither a terminal nor a notebook's.

    Examples
    --------
    >>> from varreg.report.progress import ProgressBar
    >>> with ProgressBar(total_levels=3) as progress:
    ...     pass  # progress.update(iteration) after each step
    """

    def __init__(self, total_levels: int, stream: TextIO | None = None) -> None:
        self._levels: list[tuple[str, int]] = []
        total = max(total_levels, 1)
        self._bar = _drawn(_FORMAT, stream, total=total, miniters=0, desc="preparing")

    def update(self, iteration: Iteration) -> None:
        """Show one accepted step.

        Parameters
        ----------
        iteration : varreg.optimise.history.Iteration
            The step, as handed to the `callback` of :func:`varreg.solve`.
        """
        level = (iteration.stage, iteration.level)
        if level not in self._levels:
            self._levels.append(level)
            self._bar.n = min(len(self._levels) - 1, self._bar.total)
        self._bar.set_description_str(
            f"{iteration.stage}, 1/{iteration.factor:g} size, iteration {iteration.iteration}, "
            f"energy {iteration.energy:.5f}",
            refresh=False,
        )
        self._bar.update(0)  # redraws at most ten times a second

    def close(self) -> None:
        """Remove the bar from the terminal; harmless if called twice."""
        self._bar.close()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def bar(total_levels: int) -> ProgressBar:
    """The bar :func:`varreg.solve` shows, on stderr.

    Parameters
    ----------
    total_levels : int
        Levels of all stages together.

    Returns
    -------
    ProgressBar

    Examples
    --------
    >>> from varreg.report.progress import bar
    >>> bar(3).close()
    """
    return ProgressBar(total_levels)


@contextmanager
def observer(
    progress: bool | None, callback: Callable[[Iteration], None] | None, levels: int
) -> Iterator[Callable[[Iteration], None] | None]:
    """What is told of each step of a registration: the progress bar, the caller, both or none."""
    wanted = is_watched(sys.stderr) and (progress is None or progress)
    if not wanted:
        yield callback
        return
    with bar(levels) as shown:

        def observe(iteration: Iteration) -> None:
            shown.update(iteration)
            if callback is not None:
                callback(iteration)

        yield observe


def count_bar(
    total: int | None, progress: bool | None, stream: TextIO | None = None, unit: str = "pairs"
) -> Any:
    """The bar :func:`varreg.solve_batch` shows: how many pairs, or other things, are done.

    Parameters
    ----------
    total : int or None
        How many there are, if that is known.
    progress : bool or None
        False shows nothing.
    stream : text file, optional
        Where to draw, stderr by default.  Nothing is drawn if it is neither a terminal nor a notebook's.
    unit : str
        What is counted.

    Returns
    -------
    tqdm.tqdm
        A context manager; ``update()`` counts one.

    Examples
    --------
    >>> from varreg.report.progress import count_bar
    >>> with count_bar(3, progress=False) as shown:
    ...     _ = shown.update()
    """
    return _drawn(_COUNT, stream, progress is False, total=total, unit=unit)


def _drawn(form: str, stream: TextIO | None, silent: bool = False, **settings: Any) -> Any:
    """A bar of tqdm: a widget in a notebook, characters elsewhere."""
    from tqdm.auto import tqdm

    stream = sys.stderr if stream is None else stream
    if "tqdm.notebook" in (kind.__module__ for kind in tqdm.__mro__):
        form = form.replace("{bar:24}", "{bar}")  # the widget has a width of its own
    hidden = silent or not is_watched(stream)
    return tqdm(file=stream, disable=hidden, leave=False, bar_format=form, **settings)


def is_watched(stream: TextIO | None) -> bool:
    """Whether somebody sees a bar on a stream: at a terminal, or in a notebook, whose streams are no terminals."""
    return is_terminal(stream) or (stream is sys.stderr and in_notebook())


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook; False without IPython, which is not imported to know."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody reads a stream at a terminal.

    Parameters
    ----------
    stream : text file or None
        None is what ``sys.stderr`` is without a console, e.g. under ``pythonw``.

    Examples
    --------
    >>> import io
    >>> is_terminal(io.StringIO()), is_terminal(None)
    (False, False)
    """
    try:
        return stream is not None and stream.isatty()
    except (AttributeError, ValueError):  # no such method, or already closed
        return False
