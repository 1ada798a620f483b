"""Exit codes of the commands, and one-line error messages instead of tracebacks."""

from __future__ import annotations

import errno
import logging
import shlex
import signal
import threading
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import click

from ..jobs.verdict import DEFECT as DEFECT
from ..jobs.verdict import REFUSED as REFUSED
from ..jobs.verdict import verdict, without_prefix
from .spelling import spelled

if TYPE_CHECKING:
    from ..results.result import Result

WARNED, INTERRUPTED, TERMINATED = 3, 130, 143
_DEBUG, _TYPED = "varreg.debug", "varreg.typed"


class Command(click.Command):
    """Command with the option --debug that converts exceptions to exit codes.

    0 is success, 1 an error of the input (or insufficient memory), 2 an invalid command line,
    3 a result with failed checks, if the option for strict checks was given,
    70 a defect of varreg, 130 an interruption by Ctrl-C, 143 an external termination.

    Examples
    --------
    >>> from varreg.cli.exit_codes import Command
    >>> [parameter.name for parameter in Command("nothing").params]
    ['debug']
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(
            click.Option(
                ["--debug"],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="Show the traceback of an error.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, and keep it for :func:`typed`."""
        ctx.meta[_TYPED] = shlex.join(["varreg", ctx.info_name or "", *args])
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; all exceptions except those of click are handled here."""
        try:
            with warnings.catch_warnings(), _logged_as_spelled(ctx):
                warnings.showwarning = partial(_show_warning, ctx)
                _exit_on_termination()
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt as error:
            _end(ctx, f"interrupted; {str(error) or 'nothing was written'}", INTERRUPTED)
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # click ends silently when the reader of the output has ended
            if ctx.meta.get(_DEBUG):
                click.echo(traceback.format_exc(), err=True, nl=False)
            _end(ctx, *_verdict(error, ctx))


def typed(ctx: click.Context) -> str:
    """The command line of a :class:`Command`, quoted for a shell."""
    return str(ctx.meta.get(_TYPED, ""))


def with_command(result: Result, command: str) -> Result:
    """The result with its command line in the provenance, for saving and printing."""
    return replace(result, provenance={**result.provenance, "command": command})


class Failures:
    """Failures of several items, none of which stops the others.

    Parameters
    ----------
    ctx : click.Context
        Context of a :class:`Command`.

    Examples
    --------
    >>> import click
    >>> from varreg.cli.exit_codes import Failures
    >>> Failures(click.Context(click.Command("nothing"))).add("a", ValueError("no"))[:21]
    'unexpected ValueError'
    """

    def __init__(self, ctx: click.Context) -> None:
        self._ctx, self._lines, self._code = ctx, list[str](), 0

    def add(self, name: str, error: Exception) -> str:
        """Record an error without keeping the exception, which would keep images in memory; returns its message."""
        line, code = _verdict(error, self._ctx)
        if self._ctx.meta.get(_DEBUG):
            self._lines += "".join(traceback.format_exception(error)).splitlines()
        self._lines.append(f"varreg: {name}: {line}")
        self._code = max(self._code, code)  # a defect outweighs an input error
        return line.removeprefix("error: ")

    def end(self) -> None:
        """Report on stderr and exit with the most severe exit code; continue if there was no failure."""
        for line in self._lines:
            click.echo(line, err=True)
        if self._code:
            self._ctx.exit(self._code)


def end_on_warnings(ctx: click.Context, lines: Sequence[str]) -> None:
    """Print warnings on stderr and exit with code 3; continue if there are none."""
    for line in lines:
        click.echo(f"varreg: {spelled(line, ctx)}", err=True)
    if lines:
        ctx.exit(WARNED)


def _verdict(error: Exception, ctx: click.Context) -> tuple[str, int]:
    """The message and the exit code; messages of defects are not changed."""
    sentence, code = verdict(error)
    return f"error: {sentence if code == DEFECT else spelled(sentence, ctx)}", code


def _end(ctx: click.Context, line: str, code: int) -> NoReturn:
    click.echo(f"varreg: {line}", err=True)
    ctx.exit(code)


def _remember(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_DEBUG] = value


def _show_warning(ctx: click.Context, message: Warning | str, *_: Any, **__: Any) -> None:
    words = spelled(" ".join(str(message).split()), ctx)
    click.echo(f"varreg: warning: {words}", err=True)


class _Spelled(logging.Handler):
    """Handler that prints messages on stderr in the wording of a command."""

    def __init__(self, ctx: click.Context) -> None:
        super().__init__(logging.WARNING)
        self._ctx = ctx

    def emit(self, record: logging.LogRecord) -> None:
        words = spelled(without_prefix(record.getMessage()), self._ctx)
        click.echo(f"varreg: {words}", err=True)


@contextmanager
def _logged_as_spelled(ctx: click.Context) -> Iterator[None]:
    logger, handler = logging.getLogger("varreg"), _Spelled(ctx)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _exit_on_termination() -> None:
    """Exit orderly on termination by a scheduler, so that temporary files are removed."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _terminate)


def _terminate(*_: Any) -> NoReturn:
    raise SystemExit(TERMINATED)
