"""``varreg convert``: conversion of a saved result or a transform to the format of another tool."""

from __future__ import annotations

from typing import Any

import click

from ..exchange.formats import FORMATS, TARGETS
from .common_options import force
from .exit_codes import Command
from .image_paths import ImagePath, image_options
from .transforms import files_and_flags


@click.command(cls=Command)
@click.argument("source", metavar="IN", type=click.Path())
@click.argument("output", metavar="OUT", type=click.Path())
@click.option(
    "--to",
    type=click.Choice(TARGETS),
    help=("Format of OUT. [default: by its extension, else itk]"),
)
@click.option(
    "--from",
    "format_",
    type=click.Choice(FORMATS),
    help="Format of IN, if it cannot be detected. [default: detected]",
)
@click.option(
    "--fixed", type=ImagePath(), help=("Fixed image; required unless IN is a saved result.")
)
@click.option(
    "--moving", type=ImagePath(), help=("Moving image; required unless IN is a saved result.")
)
@click.option("--inverse", is_flag=True, help="Write the map moving -> fixed instead.")
@image_options
@force
def convert(
    source: str,
    output: str,
    to: str | None,
    format_: str | None,
    fixed: str | None,
    moving: str | None,
    inverse: bool,
    force: bool,
) -> None:
    """Convert the transform IN (a saved result, or a file of another tool) to the format of another tool.

    The extension of OUT determines the form: .h5, .x5, .nii.gz, .mat, .tfm, .npz; any other name is a prefix for
    the two files of ants and greedy.  For a BIDS name, such as from-T2w_to-T1w_mode-image_xfm.h5, a JSON file is
    written as well; T2w is then the moving side, whose images are warped to T1w.  The files are printed in the order of
    `antsApplyTransforms -t` and `greedy -r`.
    """
    from ..exchange.reading import read_transform
    from ..exchange.writing import write_transform
    from ..io.result_folder import is_result
    from ..results.result import load

    paths, flags = files_and_flags([source])
    transform: Any
    if (
        format_ in (None, "result")
        and fixed is None
        and moving is None
        and not flags[0]
        and is_result(paths[0])
    ):
        transform = load(paths[0])  # with options and checks, for a BIDS sidecar
    else:
        transform = read_transform(paths, fixed, moving, format=format_, invert=flags)
    for path in write_transform(transform, output, to, overwrite=force, inverse=inverse):
        click.echo(path)
