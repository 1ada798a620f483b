"""Arguments of Python in a message, spelled as options of the command line."""

from __future__ import annotations

import re

import click

#: Functions that are commands, as calls with what is left out: ``varreg.certify(..., trials=8)``.
COMMANDS = {"solve": "register", "certify": "certify"}
#: Names that are also those of what a header holds.
AMBIGUOUS = ("affine",)
#: What stands in front of ``(command line: ...)``, which replaces it.
_CODE = r"(?:[\w.]+\([^()]*\)|\w+=(?:'[^']*'|\w+)|`\w+`|'\w+')"
_EQUIVALENT = re.compile(rf"{_CODE}(?:(?:,| or|, or| and) {_CODE})* \(command line: ([^()]*)\)")
_CALL = re.compile(r"varreg\.(\w+)\(\.\.\., ([^()]*)\)")
_FIELD = re.compile(r"`Options\(([^()`]*)\)`")
_KEYWORD = re.compile(r"(?<![\w./-])(\w+)=('[^']*'|\"[^\"]*\"|\([^()]*\)|\.\.\.|-?\w+(?:\.\w+)*)")
_NAME = re.compile(r"`(\w+)`")
#: Line of a printed result that is on the command line already.
_TYPED = "Command: "


def spelled(text: str, ctx: click.Context | None = None) -> str:
    """A message of the package as it is shown by a command: with options in place of arguments.

    The names are those of the options of the command, then those of ``varreg register``.  A message that gives both
    spellings, ``overwrite=True (command line: --force)``, keeps the second.

    Parameters
    ----------
    text : str
        One line or several.
    ctx : click.Context, optional
        Of the command; by default the current one.  Outside of commands nothing is changed.

    Returns
    -------
    str

    Examples
    --------
    >>> import click
    >>> from varreg.cli.register import register
    >>> from varreg.cli.spelling import spelled
    >>> spelled("Try affine='rigid', or raise `smoothness_weight`.", click.Context(register))
    'Try --affine rigid, or raise --smoothness-weight.'
    """
    ctx = click.get_current_context(silent=True) if ctx is None else ctx
    if ctx is None:
        return text
    names = _parameters(ctx)
    lines = text.split("\n")
    return "\n".join(line if line.startswith(_TYPED) else _spelled(line, names) for line in lines)


def _spelled(line: str, names: dict[str, click.Parameter]) -> str:
    line = _EQUIVALENT.sub(r"\1", line)
    line = _FIELD.sub(r"\1", _CALL.sub(_command, line))
    line = _KEYWORD.sub(lambda found: _option(found, names), line)
    return _NAME.sub(lambda found: _flag(found, names), line)


def _parameters(ctx: click.Context) -> dict[str, click.Parameter]:
    """Name in Python -> option or given argument of the command; options of ``varreg register`` besides."""
    root = ctx.find_root().command
    register = root.commands.get("register") if isinstance(root, click.Group) else None
    options = [p for p in (register.params if register else []) if isinstance(p, click.Option)]
    own = [
        p for p in ctx.command.params if isinstance(p, click.Option) or ctx.params.get(p.name or "")
    ]
    return {(parameter.name or "").rstrip("_"): parameter for parameter in [*options, *own]}


def _command(found: re.Match[str]) -> str:
    """A call as a command, if there is one."""
    return f"varreg {COMMANDS[found[1]]} {found[2]}" if found[1] in COMMANDS else found[0]


def _option(found: re.Match[str], names: dict[str, click.Parameter]) -> str:
    """``name=value`` as an option with its value."""
    option, value = names.get(found[1]), found[2].strip("'\"()").replace(", ", ",")
    if not isinstance(option, click.Option):
        return found[0]
    if value == "...":
        return _longest(option.opts)
    if option.is_flag:
        flags = {"True": option.opts, "False": option.secondary_opts}.get(value)
        return _longest(flags) if flags else found[0]
    return f"{_longest(option.opts)} {'none' if value == 'None' else value}"


def _flag(found: re.Match[str], names: dict[str, click.Parameter]) -> str:
    """A name between backticks as an option, or as an argument in capitals."""
    parameter = names.get(found[1])
    if parameter is None or found[1] in AMBIGUOUS:
        return found[0]
    return _longest(parameter.opts) if isinstance(parameter, click.Option) else found[1].upper()


def _longest(flags: list[str]) -> str:
    return max(flags, key=len)
