"""``varreg register --verbose``: list of all options in effect and their origin, before the computation."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import click

from .._version import __version__
from ..options.options import Options
from ..options.presets import BY_DIMENSION, BY_REGULARITY, PRESETS
from .parameters import flag, is_given, shown

if TYPE_CHECKING:
    import numpy as np

    from ..images.image import Image

Row = tuple[str, str, str]

GIVEN, PRESET, DEFAULT = "given", "preset", "default"
#: Options determined by the images by default.
BY_IMAGES = ("smoothness_length", "fixed_range", "moving_range", "levels")
#: Descriptions of the defaults of the other parameters.
ABSENT = {
    "affine": "none",
    "fill": "background of the moving image",
    "start": "header, centres and moments are tried",
}
BEFORE = ("affine", "deformable", "fixed_mask", "moving_mask", "start", "fill", "preset")
AFTER = ("threads", "backend", "device")


def echo_options(
    ctx: click.Context, options: Options, moving: Image | None = None, fixed: Image | None = None
) -> None:
    """Print a table of all options on stderr: name, value, and "given", "preset" or "default".

    Parameters
    ----------
    ctx : click.Context
        Context of ``varreg register``.
    options : Options
        Options given on the command line.
    moving, fixed : Image, optional
        Used to list the values that they determine; without them (many pairs) only a note is printed.

    Examples
    --------
    >>> from varreg.cli.verbose import echo_options
    >>> echo_options(ctx, Options())  # doctest: +SKIP
    """
    for line in table(option_rows(ctx, options, moving, fixed)):
        click.echo(line, err=True)


def option_rows(
    ctx: click.Context, options: Options, moving: Image | None = None, fixed: Image | None = None
) -> list[Row]:
    """Flag, value and origin of every option of ``varreg register``; the parameters of `echo_options`."""
    preset = PRESETS[ctx.params["preset"]]
    decided = _decided(ctx, options, moving, fixed)
    rows = [_row(ctx, name) for name in BEFORE]
    for field in dataclasses.fields(options):
        value, origin = getattr(options, field.name), DEFAULT
        if is_given(ctx, field.name):
            origin = GIVEN
        elif field.name in preset:
            origin = PRESET
        if value is None and field.name in decided:
            text, why = decided[field.name]
            rows.append((flag(field.name), text, f"{origin} ({why})"))
        else:
            rows.append((flag(field.name), _words(value), origin))
    names = AFTER if ctx.params["pairs"] is None else (*AFTER, "processes")
    return rows + [_row(ctx, name) for name in names]


def table(rows: list[Row]) -> list[str]:
    """Lines with a heading, in columns.

    Examples
    --------
    >>> from varreg.cli.verbose import table
    >>> table([("--bins", "32", "given")])[1:]
    ['option  value  from', '--bins  32     given']
    """
    rows = [("option", "value", "from"), *rows]
    first, second = (max(len(row[k]) for row in rows) for k in (0, 1))
    lines = [f"{a:<{first}}  {b:<{second}}  {c}".rstrip() for a, b, c in rows]
    return [f"varreg {__version__}: all options in force", *lines]


def _row(ctx: click.Context, name: str) -> Row:
    """Row of a parameter that is not a field of Options."""
    value, origin = ctx.params[name], GIVEN if is_given(ctx, name) else DEFAULT
    if isinstance(value, bool):
        return flag(name), "yes" if value else "no", origin
    if name == "threads":
        from ..stages.arguments import thread_count

        return flag(name), str(thread_count(value)), origin
    if name == "processes" and value is None:
        return flag(name), "for many small files", origin
    return flag(name), ABSENT.get(name, "none") if value is None else _words(value), origin


def _decided(
    ctx: click.Context, options: Options, moving: Image | None, fixed: Image | None
) -> dict[str, tuple[str, str]]:
    """Value and reason of the options that depend on the dimension and the images."""
    if moving is None or fixed is None:
        choices = {
            name: ", ".join(f"{_words(_numbers(options, d)[name])} in {d}D" for d in BY_DIMENSION)
            for name in _numbers(options, 2)
        }
        found = {name: (text, "dimension") for name, text in choices.items()}
        return found | {name: ("of each pair", "images") for name in BY_IMAGES}
    from ..stages.preparation import unit_ranges
    from ..stages.pyramid import level_factors, smoothness_length

    ranges = unit_ranges(fixed.data, moving.data, _masks(ctx, moving, fixed), options)
    images = {
        "smoothness_length": smoothness_length(fixed.grid, options),
        "levels": level_factors(fixed.grid, options),
        "fixed_range": ranges[0],
        "moving_range": ranges[1],
    }
    dimension = fixed.grid.dim
    numbers = _numbers(options, dimension)
    found = {name: (_words(v), f"{dimension}D") for name, v in numbers.items()}
    return found | {name: (_rounded(value), "images") for name, value in images.items()}


def _numbers(options: Options, dimension: int) -> dict[str, Any]:
    """Values determined by the dimension, for the given regularity: smooth until there is evidence."""
    regularity = options.decided(dimension).regularity
    return {**BY_DIMENSION[dimension], **BY_REGULARITY[regularity][dimension]}


def _masks(
    ctx: click.Context, moving: Image, fixed: Image
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Fixed and moving mask; voxels outside do not contribute to the intensity range."""
    from ..images.accepted import read_mask

    return (
        read_mask(ctx.params["fixed_mask"], fixed, argument="fixed_mask").counts,
        read_mask(ctx.params["moving_mask"], moving, argument="moving_mask").counts,
    )


def _words(value: Any) -> str:
    """Text of a value as typed; a matrix row by row."""
    if value is None:
        return "none"
    if hasattr(value, "tolist"):
        return "; ".join(" ".join(f"{x:.6g}" for x in row) for row in value.tolist())
    return shown(value)


def _rounded(value: Any) -> str:
    """Measured numbers, with four digits."""
    numbers = value if isinstance(value, tuple) else (value,)
    return ",".join(f"{number:.4g}" for number in numbers)
