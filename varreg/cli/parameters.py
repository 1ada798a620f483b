"""Command-line options made from the dataclass Options, so that neither can fall behind the other."""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, Union, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from ..errors import InputError
from ..options.options import Options
from ..options.presets import PRESETS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SYMBOLS = {r"\lambda": "lambda", r"\mu": "mu", r"\nu": "nu", r"\ell": "ell", r"\ge": ">="}


class Numbers(click.ParamType):
    """Numbers separated by commas; the word none where None has a meaning.

    Parameters
    ----------
    hint : type
        Type hint of the field of :class:`varreg.Options`.

    Examples
    --------
    >>> from varreg.cli.parameters import Numbers
    >>> Numbers(tuple[float, ...] | None).convert("4,2,1", None, None)
    (4.0, 2.0, 1.0)
    """

    name = "numbers"

    def __init__(self, hint: Any) -> None:
        alternatives = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
        tuples = [get_args(kind) for kind in alternatives if get_origin(kind) is tuple]
        self.optional = type(None) in alternatives
        self.pair = bool(tuples) and ... not in tuples[0]
        self.many = bool(tuples)
        self.single = int in alternatives or float in alternatives
        self.kind = int if int in (*alternatives, *(tuples[0] if tuples else ())) else float

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | float | tuple[int | float, ...] | None:
        """The value Options takes; a failure is a usage error that says what was wanted."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        if self.optional and value.strip().lower() == "none":
            return None
        try:
            numbers = tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            wanted = "whole numbers" if self.kind is int else "numbers"
            self.fail(f"{value!r} is not {wanted} separated by commas.", param, ctx)
        if len(numbers) == 1 and self.single:
            return numbers[0]
        if not self.many:
            self.fail(f"{value!r} is more than one number.", param, ctx)
        return numbers

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What --help shows in place of the value."""
        if self.pair:
            return "LOW,HIGH"
        number = "INTEGER" if self.kind is int else "NUMBER"
        return f"{number},..." if self.many else number


class RangeOrNone(click.IntRange):
    """A whole number of a range, or the word none.

    Examples
    --------
    >>> from varreg.cli.parameters import RangeOrNone
    >>> RangeOrNone(2, 4).convert("3", None, None), RangeOrNone(2, 4).convert("none", None, None)
    (3, None)
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number or None; a failure is a usage error."""
        if isinstance(value, str) and value.strip().lower() == "none":
            return None
        return super().convert(value, param, ctx)


class NameOrMatrix(click.ParamType):
    """One of some names, or a text file that holds a homogeneous matrix.

    Parameters
    ----------
    names : tuple of str
        The names; "none" gives None.

    Examples
    --------
    >>> from varreg.cli.parameters import NameOrMatrix
    >>> NameOrMatrix(("rigid", "none")).convert("rigid", None, None)
    'rigid'
    """

    name = "name or file"

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | NDArray[np.float64] | None:
        """The name, the matrix, or None; a failure is a usage error."""
        if not isinstance(value, str):
            return value  # type: ignore[no-any-return]
        if value in self.names:
            return None if value == "none" else value
        if not Path(value).is_file():
            self.fail(f"{value!r} is neither {', '.join(self.names)} nor a file.", param, ctx)
        import numpy as np

        try:
            return np.loadtxt(value, ndmin=2)
        except (OSError, ValueError):
            self.fail(f"{value!r} does not hold rows of numbers, a matrix.", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What --help shows in place of the value."""
        return f"[{'|'.join(self.names)}|FILE]"


class NameOrMap(NameOrMatrix):
    """One of some names, a text file that holds a matrix, or the path of a map.

    Parameters
    ----------
    names : tuple of str

    Examples
    --------
    >>> from varreg.cli.parameters import NameOrMap
    >>> NameOrMap(("header",)).convert("header", None, None)
    'header'
    """

    name = "name, file or folder"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str | NDArray[np.float64] | None:
        """The name, the matrix, or the path as it is; a failure is a usage error."""
        if not isinstance(value, str) or value in self.names:
            return value  # type: ignore[no-any-return]
        if not Path(value).exists():
            self.fail(f"{value!r} is neither {', '.join(self.names)} nor a file.", param, ctx)
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:  # no rows of numbers: another kind of file, or a folder
            return value

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """What --help shows in place of the value."""
        return f"[{'|'.join(self.names)}|FILE|RESULT]"


def said(ctx: click.Context, name: str) -> bool:
    """Whether a parameter is on the command line."""
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE


def energy_options(command: Decorated) -> Decorated:
    """Add --preset and one option per field of :class:`varreg.Options` to a click command.

    Parameters
    ----------
    command : callable
        The function under construction.

    Returns
    -------
    callable

    Examples
    --------
    >>> import click
    >>> from varreg.cli.parameters import energy_options
    >>> "bins" in [option.name for option in click.command()(energy_options(lambda: 0)).params]
    True
    """
    hints, documented = get_type_hints(Options), _parameters(inspect.getdoc(Options) or "")
    for field in reversed(dataclasses.fields(Options)):
        described, text = documented.get(field.name, ("", ""))
        default = "" if field.default is None else f"  [default: {shown(field.default)}]"
        command = click.option(
            flag(field.name),
            field.name,
            type=_kind(hints[field.name], described),
            help=text + default,
        )(command)
    return click.option(
        "--preset",
        type=click.Choice(sorted(PRESETS)),
        default="default",
        show_default=True,
        help="Named choice of all options below; options given besides it win.",
    )(command)


def chosen_options(ctx: click.Context) -> Options:
    """The Options a command line asks for.

    Parameters
    ----------
    ctx : click.Context
        Of a command made with :func:`energy_options`.

    Returns
    -------
    varreg.Options

    Raises
    ------
    click.BadParameter
        If a value is refused, worded for the command line.

    Examples
    --------
    >>> import click
    >>> from varreg.cli.parameters import chosen_options, energy_options
    >>> @click.command()
    ... @energy_options
    ... @click.pass_context
    ... def show(ctx, **values):
    ...     print(chosen_options(ctx).bins)
    >>> show.main(["--bins", "32"], standalone_mode=False)
    32
    """
    changes = {
        field.name: ctx.params[field.name]
        for field in dataclasses.fields(Options)
        if said(ctx, field.name)
    }
    try:
        return Options.preset(ctx.params["preset"], **changes)
    except InputError as error:
        refused = re.match(r"`Options\((\w+)=\.\.\.\)` (.*)", str(error), re.DOTALL)
        if refused is None:
            raise
        raise click.BadParameter(refused[2], ctx, param_hint=f"'{flag(refused[1])}'") from None


def flag(field: str) -> str:
    """The option of a field of :class:`varreg.Options`, as it is typed."""
    return "--" + field.replace("_", "-")


def _kind(hint: Any, described: str) -> click.ParamType:
    """The click type of a field, from its type hint and the choices its documentation names."""
    if described.startswith("{") and hint is str:
        return click.Choice(re.findall(r'"([^"]+)"', described))
    if described.startswith("{"):
        numbers = list(map(int, re.findall(r"\d+", described)))
        return RangeOrNone(min(numbers), max(numbers))
    if hint in (int, float):
        return click.INT if hint is int else click.FLOAT
    return Numbers(hint)


def shown(value: Any) -> str:
    """A value of a field, as it is typed."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _parameters(docstring: str) -> dict[str, tuple[str, str]]:
    """For every name of a numpydoc Parameters section: its type and its text in one line."""
    _, _, section = docstring.partition("Parameters\n----------\n")
    found: dict[str, tuple[str, str]] = {}
    for entry in re.split(r"\n(?=\S)", section.split("\n\n")[0]):
        head, _, body = entry.partition("\n")
        names, _, kind = head.partition(" : ")
        for name in names.split(","):
            found[name.strip()] = (kind, _plain(body))
    return found


def _plain(text: str) -> str:
    """Documentation markup turned into words for a terminal."""
    text = re.sub(r":math:`([^`]*)`", r"\1", " ".join(text.split()))
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    text = re.sub(r"\((\d+(?:, \d+)+)\)", lambda found: found[1].replace(" ", ""), text)
    text = re.sub(r"\bNone\b", "none (the default)", text)
    return text.replace("``", "").replace("`", "")
