"""Progress bars at a terminal or in a notebook; silent otherwise."""

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

    The number of iterations of a level is unknown beforehand, so the bar counts finished levels.

    Parameters
    ----------
    total_levels : int
        Number of levels of all stages.
    stream : text file, optional
        Output stream, stderr by default.  Nothing is drawn unless it is a terminal or belongs to a notebook.

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
            The step, as passed to the `callback` of :func:`varreg.solve`.
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
        """Remove the bar from the terminal; may be called twice."""
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
    """The bar of :func:`varreg.solve`, on stderr.

    Parameters
    ----------
    total_levels : int
        Number of levels of all stages.

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
    """Callback for each step of a registration: progress bar, callback of the caller, both or none."""
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
    """The bar of :func:`varreg.solve_batch`: number of finished pairs, or of other items.

    Parameters
    ----------
    total : int or None
        Total number, if known.
    progress : bool or None
        False for no output.
    stream : text file, optional
        Output stream, stderr by default.  Nothing is drawn unless it is a terminal or belongs to a notebook.
    unit : str
        Name of the counted items.

    Returns
    -------
    tqdm.tqdm
        A context manager; ``update()`` increments the count.

    Examples
    --------
    >>> from varreg.report.progress import count_bar
    >>> with count_bar(3, progress=False) as shown:
    ...     _ = shown.update()
    """
    return _drawn(_COUNT, stream, progress is False, total=total, unit=unit)


def _drawn(form: str, stream: TextIO | None, silent: bool = False, **settings: Any) -> Any:
    """A tqdm bar: a widget in a notebook, text elsewhere."""
    from tqdm.auto import tqdm

    stream = sys.stderr if stream is None else stream
    if "tqdm.notebook" in (kind.__module__ for kind in tqdm.__mro__):
        form = form.replace("{bar:24}", "{bar}")  # the widget sets its width itself
    hidden = silent or not is_watched(stream)
    return tqdm(file=stream, disable=hidden, leave=False, bar_format=form, **settings)


def is_watched(stream: TextIO | None) -> bool:
    """Whether a bar on a stream is visible: at a terminal, or in a notebook, whose streams are not terminals."""
    return is_terminal(stream) or (stream is sys.stderr and in_notebook())


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook; False without IPython, which is not imported for this test."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in getattr(shell, "config", {})


def is_terminal(stream: TextIO | None) -> bool:
    """Whether a stream is a terminal.

    Parameters
    ----------
    stream : text file or None
        None is the value of ``sys.stderr`` without a console, e.g. under ``pythonw``.

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
