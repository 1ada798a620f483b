"""Conversion of Python arguments in messages to command-line options."""

from __future__ import annotations

import re

import click

#: Calls of functions that are also commands, with abbreviated arguments: ``varreg.certify(..., trials=8)``.
COMMANDS = {"solve": "register", "certify": "certify"}
#: Names that also occur as fields of image headers.
AMBIGUOUS = ("affine",)
#: Text before ``(command line: ...)``, which is replaced by the latter.
_CODE = r"(?:[\w.]+\([^()]*\)|\w+=(?:'[^']*'|\w+)|`\w+`|'\w+')"
_EQUIVALENT = re.compile(rf"{_CODE}(?:(?:,| or|, or| and) {_CODE})* \(command line: ([^()]*)\)")
_CALL = re.compile(r"varreg\.(\w+)\(\.\.\., ([^()]*)\)")
_FIELD = re.compile(r"`Options\(([^()`]*)\)`")
_KEYWORD = re.compile(r"(?<![\w./-])(\w+)=('[^']*'|\"[^\"]*\"|\([^()]*\)|\.\.\.|-?\w+(?:\.\w+)*)")
_NAME = re.compile(r"`(\w+)`")
#: Line of a printed result that is redundant on the command line.
_TYPED = "Command: "


def spelled(text: str, ctx: click.Context | None = None) -> str:
    """A message of the package in the wording of a command: with options in place of arguments.

    The options of the command have precedence over those of ``varreg register``.  In a message with both
    wordings, ``overwrite=True (command line: --force)``, the second is kept.

    Parameters
    ----------
    text : str
        One or several lines.
    ctx : click.Context, optional
        Context of the command; by default the current one.  Outside of commands the text is unchanged.

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
    """Python name -> option or argument of the command; includes the options of ``varreg register``."""
    root = ctx.find_root().command
    register = root.commands.get("register") if isinstance(root, click.Group) else None
    options = [p for p in (register.params if register else []) if isinstance(p, click.Option)]
    own = [
        p for p in ctx.command.params if isinstance(p, click.Option) or ctx.params.get(p.name or "")
    ]
    return {(parameter.name or "").rstrip("_"): parameter for parameter in [*options, *own]}


def _command(found: re.Match[str]) -> str:
    """A call as a command, if the command exists."""
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
    """A name in backticks as an option, or as an argument in capitals."""
    parameter = names.get(found[1])
    if parameter is None or found[1] in AMBIGUOUS:
        return found[0]
    return _longest(parameter.opts) if isinstance(parameter, click.Option) else found[1].upper()


def _longest(flags: list[str]) -> str:
    return max(flags, key=len)
