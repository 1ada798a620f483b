"""Image paths on the command line, and options for reading them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..images.image_file import HEADERS, ImageFile
from ..images.pictures import PICTURE_SUFFIXES
from ..images.slide_files import may_be_pyramid
from .value_types import Numbers

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_HEADER, _SPACING, _LEVEL, _CHANNEL = (
    f"varreg.{name}" for name in ("header", "spacing", "level", "channel")
)


class ImagePath(click.ParamType):
    """Path of an image, combined with the options of :func:`image_options` for all images of a command."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path unchanged, if no reading options are given."""
        return image_file(ctx, value) if isinstance(value, str) else value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> Any:
        """Completion as for any path."""
        return click.Path().shell_complete(ctx, param, incomplete)


def image_options(command: Decorated) -> Decorated:
    """Add ``--header``, ``--spacing``, ``--level`` and ``--channel`` to a command, remembered for :func:`image_file`."""
    for name, key, help_text in (
        ("--channel", _CHANNEL, ("Channel of slides, from 0. [default: luminance of colour "
                                "images]")),
        ("--level", _LEVEL, ("Pyramid level of slides in OME-TIFF or OME-Zarr; 0 is full "
                            "resolution. [default: the finest of at most 4 million pixels]")),
    ):  # fmt: skip
        command = click.option(
            name,
            type=int,
            is_eager=True,
            expose_value=False,
            callback=_remember_as(key),
            help=help_text,
        )(command)
    command = click.option(
        "--spacing",
        type=Numbers(tuple[float, ...] | float),
        is_eager=True,
        expose_value=False,
        callback=_remember_as(_SPACING),
        help="Pixel size of pictures in mm: one number, or two for rows and columns. "
        "[default: as stated in the file, else 1]",
    )(command)
    return header_option(command)


def header_option(command: Decorated) -> Decorated:
    """Add only ``--header``."""
    return click.option(
        "--header",
        type=click.Choice(HEADERS),
        is_eager=True,
        expose_value=False,
        callback=_remember_as(_HEADER),
        help="Part of the NIfTI headers that defines the position of the images, if sform "
        "and qform disagree or are not set. [default: the sform, else the qform]",
    )(command)


def mask_options(command: Decorated) -> Decorated:
    """Add ``--fixed-mask``, ``--moving-mask`` and the rigid masks to a command."""
    for image in ("moving", "fixed"):  # the last one added is listed first
        command = click.option(
            f"--{image}-rigid-mask",
            type=ImagePath(),
            help=f"Mask of structures that keep their shape in {image.upper()}, 1 inside. See --rigidity-weight.",
        )(command)
    for name in ("--moving-mask", "--fixed-mask"):
        command = click.option(
            name,
            type=ImagePath(),
            help="Mask: voxels of at least half its largest value are inside; fractions from 0 to 1 are weights.",
        )(command)
    return command


def image_file(ctx: click.Context | None, path: str | os.PathLike[str]) -> Any:
    """A path combined with the reading options of the command."""
    meta = {} if ctx is None else ctx.meta
    slide = may_be_pyramid(path)
    picture = slide or os.fspath(path).lower().endswith(PICTURE_SUFFIXES)
    header, spacing = meta.get(_HEADER), meta.get(_SPACING) if picture else None
    level, channel = (meta.get(key) if slide else None for key in (_LEVEL, _CHANNEL))
    given = header, spacing, level, channel
    return path if given == (None,) * 4 else ImageFile(path, *given)


def _remember_as(key: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """A callback that stores the value of an option."""

    def remember(ctx: click.Context, _: click.Parameter, value: Any) -> None:
        ctx.meta[key] = value

    return remember
