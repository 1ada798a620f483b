"""A progress bar for people at a terminal; silent everywhere else."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, TextIO

from ..optimise.history import Iteration

_FORMAT = "|{bar:24}| {elapsed}  {desc}"
_COUNT = "|{bar:24}| {n_fmt}/{total_fmt} {unit}  {elapsed}<{remaining}"


class ProgressBar:
    """One line on a terminal: stage, level, iteration and energy.

    How many iterations a level takes is not known beforehand, so the bar counts finished levels.

    Parameters
    ----------
    total_levels : int
        Levels of all stages together.
    stream : text file, optional
        Where to draw, stderr by default.  Nothing is drawn if it is not a terminal.

    Examples
    --------
    >>> from varreg.report.progress import ProgressBar
    >>> with ProgressBar(total_levels=3) as progress:
    ...     pass  # progress.update(iteration) after each step
    """

    def __init__(self, total_levels: int, stream: TextIO | None = None) -> None:
        from tqdm import tqdm

        stream = sys.stderr if stream is None else stream
        self._levels: list[tuple[str, int]] = []
        self._bar = tqdm(
            total=max(total_levels, 1),
            file=stream,
            disable=not is_terminal(stream),
            leave=False,
            miniters=0,
            bar_format=_FORMAT,
            desc="preparing",
        )

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
        Where to draw, stderr by default.  Nothing is drawn if it is not a terminal.
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
    from tqdm import tqdm

    stream = sys.stderr if stream is None else stream
    silent = progress is False or not is_terminal(stream)
    return tqdm(total=total, file=stream, disable=silent, leave=False, bar_format=_COUNT, unit=unit)


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
