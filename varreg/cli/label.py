"""The command ``varreg label``."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import Any

import click

from ..optimise.check import first_line
from .backends import backend_options
from .common_options import as_json, force, quiet, strict
from .exit_codes import Command, end_on_warnings
from .image_paths import ImagePath, image_options
from .outputs import is_image
from .parameters import chosen_options, energy_options
from .spelling import spelled


@click.command(cls=Command)
@click.argument("image", type=ImagePath())
@click.option(
    "--atlases",
    required=True,
    type=click.Path(),
    help="Folder with NAME_image.nii.gz and NAME_labels.nii.gz for each person, or with a table atlases.tsv (columns image, "
    "labels, name); or such a table.",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help=(
        "Output folder for labels and agreement; or, with an image extension, a file for "
        "the labels alone."
    ),
)
@click.option(
    "--method",
    type=click.Choice(["local", "majority"]),
    default="local",
    show_default=True,
    help="Method of label fusion.",
)
@click.option(
    "--radius",
    type=click.IntRange(min=1),
    default=2,
    show_default=True,
    help="Radius of the compared patches, in voxels.",
)
@click.option("--mask", type=ImagePath(), help="Mask of the region to label.")
@image_options
@energy_options
@click.option("--threads", type=click.IntRange(min=1), help="[default: all cores]")
@click.option("--processes", type=click.IntRange(min=0), help="Worker processes; 0 for none.")
@backend_options
@strict
@force
@as_json
@quiet
@click.pass_context
def label(ctx: click.Context, image: Any, **given: Any) -> None:
    """Label IMAGE by registration of several labelled atlases and label fusion."""
    from ..atlas.label import label as compute
    from ..atlas.labelling import RECORD
    from ..io.files import atomic_path, free_folder, write_image

    names = ("atlases", "method", "radius", "mask", "backend", "device", "threads", "processes")
    arguments = {name: given[name] for name in names}
    alone = is_image(given["output"])
    with ExitStack() as outputs:
        if alone:
            file = outputs.enter_context(atomic_path(given["output"], overwrite=given["force"]))
        else:
            free_folder(given["output"], overwrite=given["force"], marker=RECORD)
        progress = False if given["quiet"] else None
        found = compute(image, options=chosen_options(ctx), progress=progress, **arguments)
        if alone:
            write_image(file, found.labels, found.image, overwrite=True)
        else:
            found.save(given["output"], given["force"])
    if given["as_json"]:
        click.echo(json.dumps(found.content(), indent=2))
    elif not given["quiet"]:
        click.echo(
            f"{spelled(str(found))}\nWritten: {given['output']} (labels{'' if alone else ', agreement'})."
        )
    if given["strict"] and found.warnings:
        end_on_warnings(ctx, [first_line(found.checks)])
