"""Command-line options generated from the dataclass Options, so that both stay consistent."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import click
from click.core import ParameterSource

from ..errors import InputError
from ..options.names import SIMILARITIES
from ..options.options import Options
from ..options.presets import PRESETS
from .value_types import AxesOrNone, NamesOrNone, Numbers, RangeOrNone

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_SYMBOLS = {
    r"\lambda": "lambda",
    r"\eta": "eta",
    r"\kappa": "kappa",
    r"\mu": "mu",
    r"\nu": "nu",
    r"\ell": "ell",
    r"\ge": ">=",
}


def is_given(ctx: click.Context, name: str) -> bool:
    """Whether a parameter was given on the command line."""
    return ctx.get_parameter_source(name) == ParameterSource.COMMANDLINE


def energy_options(command: Decorated) -> Decorated:
    """Add --preset and one option per field of :class:`varreg.Options` to a click command.

    Parameters
    ----------
    command : callable
        The decorated function.

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
        type=click.Choice(sorted(PRESETS), case_sensitive=False),
        default="default",
        show_default=True,
        help="Preset of all options below; options given explicitly take precedence.",
    )(command)


def chosen_options(ctx: click.Context) -> Options:
    """The Options given on the command line.

    Parameters
    ----------
    ctx : click.Context
        Context of a command with :func:`energy_options`.

    Returns
    -------
    varreg.Options

    Raises
    ------
    click.BadParameter
        If a value is invalid, with a message for the command line.

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
        if is_given(ctx, field.name)
    }
    try:
        return Options.preset(ctx.params["preset"], **changes)
    except InputError as error:
        refused = re.match(r"`Options\((\w+)=\.\.\.\)` (.*)", str(error), re.DOTALL)
        if refused is None:
            raise
        raise click.BadParameter(refused[2], ctx, param_hint=f"'{flag(refused[1])}'") from None


def flag(field: str) -> str:
    """Command-line option of a field of :class:`varreg.Options`."""
    return "--" + field.replace("_", "-")


def _kind(hint: Any, described: str) -> click.ParamType:
    """Click type of a field, from its type hint and the choices in its documentation."""
    if described.startswith("{") and hint is str:
        return click.Choice(re.findall(r'"([^"]+)"', described), case_sensitive=False)
    if described.startswith("{"):
        numbers = list(map(int, re.findall(r"\d+", described)))
        return RangeOrNone(min(numbers), max(numbers))
    if hint == (tuple[str, ...] | None):
        return NamesOrNone(tuple(SIMILARITIES))
    if hint == (str | tuple[float, ...] | None):
        return AxesOrNone()
    if hint in (int, float):
        return click.INT if hint is int else click.FLOAT
    return Numbers(hint)


def shown(value: Any) -> str:
    """Value of a field as typed on the command line."""
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
    """Documentation without markup, for a terminal."""
    text = re.sub(r":math:`([^`]*)`", r"\1", " ".join(text.split()))
    for symbol, word in _SYMBOLS.items():
        text = text.replace(symbol, word)
    text = re.sub(r"\(([\d.]+(?:, [\d.]+)+)\)", lambda found: found[1].replace(" ", ""), text)
    text = re.sub(r"(?<!`)`(\w+)`", lambda found: flag(found[1]), text)
    text = re.sub(r"\bNone\b", "none (the default)", text)
    return text.replace("``", "").replace("`", "")
