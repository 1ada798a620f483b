"""The command ``varreg template``."""

from __future__ import annotations

import json
import shutil
from typing import Any

import click

from ..errors import InputError
from ..optimise.check import first_line
from ..options.names import ROUNDS
from .backends import backend_options
from .common_options import as_json, force, quiet, strict
from .engines import chosen_engine, engine_options
from .exit_codes import Command, end_on_warnings
from .image_paths import ImagePath, image_file, image_options
from .parameters import chosen_options, energy_options
from .spelling import spelled
from .value_types import Numbers

#: Suffix of the checkpoint folder of an interrupted run.
SUFFIX = ".rounds"


@click.command(cls=Command)
@click.argument("images", type=ImagePath(), nargs=-1)
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Output folder of the template."
)
@click.option(
    "--people",
    type=click.Path(),
    help="Instead of IMAGES: a table (.tsv, .csv) with a row for each person, the column "
    "image, and optionally image2 ... image9 (further contrasts), name, mask, labels.",
)
@click.option(
    "--rounds",
    default=",".join(ROUNDS),
    show_default=True,
    help=("Model of the maps in each round: translation, rigid, similarity, affine or deformable."),
)
@click.option(
    "--voxel-size",
    type=Numbers(tuple[float, ...] | float | None),
    help="Voxel size of the template in mm. [default: median over the people]",
)
@click.option(
    "--average",
    type=click.Choice(["trimmed", "median", "mean"]),
    default="trimmed",
    show_default=True,
    help="Average of intensities; trimmed excludes a fifth at either end.",
)
@click.option(
    "--normalise/--no-normalise",
    default=True,
    show_default=True,
    help="Scale intensities to a common range; disable it for intensities with a unit, as in CT.",
)
@image_options
@energy_options
@engine_options
@backend_options
@click.option("--keep-rounds", is_flag=True, help=f"Keep OUTPUT{SUFFIX}, the folder of the rounds.")
@strict
@force
@as_json
@quiet
@click.pass_context
def template(ctx: click.Context, images: tuple[Any, ...], **given: Any) -> None:
    """Build the unbiased mean of IMAGES, one per person, in shape and intensity.

    After an interruption the same command resumes the run.
    """
    from ..io.files import free_folder
    from ..template.build import build_template
    from ..template.files import RECORD, content

    output = free_folder(given["output"], overwrite=given["force"], marker=RECORD)
    rounds = output.with_name(output.name + SUFFIX)
    elsewhere = given["processes"] or given["scheduler"] is not None
    found = build_template(
        **_people(ctx, images, given["people"]),
        rounds=[kind.strip() for kind in given["rounds"].split(",")],
        spacing=given["voxel_size"],
        average=given["average"],
        normalise=given["normalise"],
        state=rounds,
        options=chosen_options(ctx),
        backend=given["backend"],
        device=given["device"],
        threads=given["threads"],
        engine=chosen_engine(given, None) if elsewhere else None,
        progress=False if given["quiet"] else None,
    )
    found.save(output, given["force"])
    if not given["keep_rounds"]:
        shutil.rmtree(rounds)
    if given["as_json"]:
        click.echo(json.dumps(content(found), indent=2))
    elif not given["quiet"]:
        click.echo(
            f"{spelled(str(found))}\nWritten: {given['output']} (template, maps to the people)."
        )
    if given["strict"] and found.warnings:
        end_on_warnings(ctx, [first_line(found.checks)])


def _people(ctx: click.Context, images: tuple[Any, ...], table: str | None) -> dict[str, Any]:
    """The participants given on the command line or in a table."""
    if (table is None) == (not images):
        raise click.UsageError("give IMAGES or --people TABLE, one of them.", ctx)
    if table is None:
        return {"images": list(images)}
    from ..template.people_table import read_people

    people = read_people(table)
    if not people["images"]:
        raise InputError(f"--people {table!r} has no line.")
    contrasts = [[image_file(ctx, file) for file in each] for each in people["images"]]
    return {**people, "images": contrasts}
