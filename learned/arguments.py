"""Changes of a configuration by strings, files and the command line, parsed by jsonargparse."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin

import docstring_parser
from jsonargparse import ArgumentParser, Namespace

from varreg.errors import InputError, VarregError

from .fields import Section, meant, shown, wanted
from .sections import SECTIONS, Config, flat, keys


def parser() -> ArgumentParser:
    """Command-line parser of a training."""
    made = ArgumentParser(exit_on_error=False, allow_abbrev=False, prog="python -m learned.train")
    made.description = (
        "Train the cascade: first AT-Net, then the DT-Nets with AT-Net frozen. Presets: smoke (one minute, checks "
        "that everything works), laptop (a useful model in half an hour on one core), paper (Table 1 of the "
        "paper). To resume an interrupted or killed run, repeat --output and add --resume; the result is the "
        "same as without the interruption. On several devices: torchrun --nproc-per-node N -m learned.train ..."
    )
    made.add_argument(
        "--config", action="config", help="YAML or JSON file with values for any of the keys."
    )
    made.add_argument(
        "--preset",
        type=str | None,
        help="Name of a predefined configuration: smoke, laptop or paper.",
    )
    for name, kind in SECTIONS.items():
        made.add_class_arguments(kind, name)
        _describe_together(made, kind)
    made.add_argument(
        "-o",
        "--output",
        type=str | None,
        help="Output folder of the run; short for --train.output.",
    )
    made.add_argument("--resume", action="store_true", help="Resume the run in the output folder.")
    made.add_argument("--no-tensorboard", action="store_true", help="Write no TensorBoard logs.")
    made.add_argument(
        "-q", "--quiet", action="store_true", help="Print no progress bar and no report."
    )
    return made


def _describe_together(made: ArgumentParser, kind: type[Section]) -> None:
    """Help of fields with a common docstring entry, which jsonargparse does not support."""
    options = {action.dest: action for action in made._actions}
    for entry in docstring_parser.parse(kind.__doc__ or "").params:
        for field in entry.arg_name.split(", ") if "," in entry.arg_name else ():
            options[f"{kind.name}.{field}"].help = entry.description


def from_arguments(
    arguments: Sequence[str],
    base: Callable[[Namespace], Config],
) -> tuple[Config, Namespace]:
    """Configuration of a command line, and all parsed arguments.

    Parameters
    ----------
    arguments : sequence of str
        ``--model.scales=4,2,1``, ``--config FILE``, ``--preset NAME``, ...
    base : callable
        Function from the given arguments to the configuration that they change.

    Returns
    -------
    tuple of Config and jsonargparse.Namespace

    Raises
    ------
    InputError
        If a key is unknown (the nearest is suggested) or a value is invalid.
    """
    made = parser()
    arguments = _bracketed(arguments)
    try:
        quiet = [a for a in arguments if not re.match("--print_config|-h$|--help$", a)]
        made.set_defaults(flat(base(made.parse_args(quiet, defaults=False))))
        parsed = made.parse_args(arguments)
        sections = {n: kind.of(_mapping(parsed[n]), "learned") for n, kind in SECTIONS.items()}
    except VarregError:
        raise
    except Exception as error:  # argparse and YAML raise many types
        raise InputError(_explained(" ".join(str(error).split()), arguments)) from None
    return Config(**sections), parsed


def _bracketed(arguments: Sequence[str]) -> list[str]:
    """Arguments as ``--key=value``, with lists in brackets and null for None, as in YAML."""
    done: list[str] = []
    words, hints = list(arguments), keys()
    while words:
        key, equals, text = words.pop(0).partition("=")
        hint = hints.get(key.strip().removeprefix("--"))
        if hint is None or (not equals and not words):
            done.append(key + equals + text)
            continue
        text = text if equals else words.pop(0)
        if type(None) in get_args(hint) and text.strip().lower() == "none":
            text = "null"
        elif get_origin(hint) is tuple and not text.strip().startswith("["):
            parts = [part.strip() for part in text.strip(" ()").rstrip(",").split(",")]
            texts = isinstance(get_args(hint)[0], type) and issubclass(get_args(hint)[0], str)
            parts = parts if parts != [""] else []
            text = json.dumps(parts) if texts else f"[{','.join(parts)}]"
        done.append(f"{key.strip()}={text}")
    return done


def _explained(error: str, arguments: Sequence[str]) -> str:
    """Error message of jsonargparse, reworded for this package."""
    found = re.search(r"unrecognized arguments: --([^ =]+)", error)
    found = found or re.search(r"does not accept option '([^']+)'|Option '([^']+)'", error)
    if found:
        group = re.search(r"Group '(\w+)'", error)
        key = f"{group[1]}.{found[1]}" if group else found[1] or found[2]
        return f"learned: unknown key `{key}`.{meant(key, keys())}"
    found = re.search(r'key "([^"]+)": *(.*)', error)
    if found and found[1] in keys():
        received = [a.partition("=")[2] for a in arguments if a.startswith(f"--{found[1]}=")]
        got = f"; got {shown(received[-1])}." if received else f" ({found[2]})."
        return f"`{found[1]}` must be {wanted(keys()[found[1]])}{got}"
    return f"learned: {error}"


def _mapping(value: Any) -> Any:
    return vars(value) if isinstance(value, Namespace) else value
