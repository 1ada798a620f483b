"""The command ``varreg register``: one pair of images, or all pairs of a table."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click

from ..optimise.check import first_line
from ..options.names import AFFINE_MODELS, STARTS
from .backends import backend_options
from .common_options import as_json, force, quiet, strict, threads
from .exit_codes import Command, Failures, end_on_warnings, typed, with_command
from .image_paths import ImagePath, image_options, mask_options
from .outputs import figure_writer, is_image, result_writer, said_of_output
from .parameters import chosen_options, energy_options
from .result_report import echo_step, report
from .value_types import NameOrMap, NameOrMatrix
from .verbose import echo_options


@click.command(cls=Command)
@click.argument("moving", type=ImagePath(), required=False)
@click.argument("fixed", type=ImagePath(), required=False)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="Output folder of the result; or, with an image extension (.nii.gz, .png), a file "
    "for the warped image alone.",
)
@click.option(
    "--pairs",
    type=click.Path(),
    help="Instead of MOVING and FIXED: a table (.csv, .tsv) with the columns moving and "
    "fixed, and optionally name, fixed_mask, moving_mask, fixed_rigid_mask, moving_rigid_mask; a row per pair, paths "
    "relative to the table. The output is a folder with a folder per pair and "
    "summary.csv.",
)
@click.option(
    "--affine",
    type=NameOrMatrix(("auto", *AFFINE_MODELS, "none")),
    default="auto",
    show_default=True,
    help="Model of the affine stage, or a text file with its matrix (fixed world to moving "
    "world, mm); auto chooses a rigid map, or the position from the headers, unless "
    "more degrees of freedom gain more than expected from noise.",
)
@click.option(
    "--deformable/--no-deformable",
    default=None,
    help="Whether to run the deformable stage. [default: if it gains more than expected from noise]",
)
@click.option(
    "--also",
    type=(ImagePath(), ImagePath()),
    multiple=True,
    metavar="MOVING FIXED",
    help="A further pair of images of the same two people, such as FLAIR in addition to T2; may be "
    "repeated. See --weights and --similarities.",
)
@mask_options
@click.option(
    "--moving-points",
    type=click.Path(),
    help="Points of MOVING that match those of --fixed-points: .csv (columns x, y, z in "
    "world RAS+ mm; optionally name and weight), or .fcsv or .mrk.json of 3D Slicer. "
    "Paired by their names, else by their order. See --points-weight.",
)
@click.option("--fixed-points", type=click.Path(), help="Points of FIXED; see --moving-points.")
@click.option(
    "--fill",
    type=float,
    help="Value of the warped image outside the moving image. [default: its background]",
)
@click.option(
    "--start",
    type=NameOrMap(STARTS),
    help="Initial alignment, or a text file with a matrix; or a map to refine: the folder of "
    "a saved result, or a transform file. [default: several are compared]",
)
@image_options
@energy_options
@threads
@click.option(
    "--processes",
    type=click.IntRange(min=0),
    help="With --pairs: worker processes for small pairs; 0 for none. [default: for many small files]",
)
@backend_options
@click.option("--png", type=click.Path(), help="Also write an overview figure to this file.")
@strict
@force
@as_json
@quiet
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Print all options, then every accepted step; with --pairs, every pair.",
)
@click.pass_context
def register(ctx: click.Context, moving: str | None, fixed: str | None, **given: Any) -> None:
    """Register the image MOVING to the image FIXED, or many pairs with --pairs."""
    if given["pairs"] is not None:
        _register_table(ctx, given)
    elif given["processes"] is not None:
        raise click.UsageError("--processes requires --pairs; for one pair use --threads.", ctx)
    elif moving is None or fixed is None:
        absent = "MOVING" if moving is None else "FIXED"
        raise click.MissingParameter(ctx=ctx, param_hint=f"'{absent}'", param_type="argument")
    else:
        _register_pair(ctx, moving, fixed, given)


def _arguments(ctx: click.Context, given: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``solve`` besides the images."""
    names = (
        "affine",
        "deformable",
        "fixed_mask",
        "moving_mask",
        "fixed_rigid_mask",
        "moving_rigid_mask",
        "moving_points",
        "fixed_points",
        "start",
        "fill",
        "backend",
        "device",
        "threads",
    )
    silent = given["quiet"] or given["verbose"]
    chosen = {name: given[name] for name in names}
    return {**chosen, "options": chosen_options(ctx), "progress": False if silent else None}


def _register_pair(ctx: click.Context, moving: str, fixed: str, given: dict[str, Any]) -> None:
    from ..api import solve

    arguments = _arguments(ctx, given)
    # Outputs are reserved first: an unwritable output is detected before the computation, and
    # all of them appear only on success.
    with ExitStack() as outputs:
        write = outputs.enter_context(
            result_writer(given["output"], moving, fixed, given["fill"], given["force"])
        )
        draw = outputs.enter_context(figure_writer(given["png"], given["force"]))
        images: tuple[Any, Any] = (moving, fixed)
        if given["also"]:
            images = (
                [moving, *(p[0] for p in given["also"])],
                [fixed, *(p[1] for p in given["also"])],
            )
        callback = None
        if given["verbose"]:
            from ..images.channels import as_channels

            pairs = as_channels(*images)
            images = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            echo_options(ctx, arguments["options"], *pairs[0])
            callback = echo_step
        result = with_command(solve(*images, callback=callback, **arguments), typed(ctx))
        write(result)
        draw(result)
    if given["as_json"] or not given["quiet"]:
        report(result, given["as_json"])
        if not given["as_json"]:
            click.echo(said_of_output(given["output"], given["png"]))
    if given["strict"] and result.warnings:
        end_on_warnings(ctx, [first_line(result.checks)])


def _register_table(ctx: click.Context, given: dict[str, Any]) -> None:
    from .pair_report import echo_pair, report_pairs
    from .table import register_table

    if ctx.params["moving"] is not None:
        raise click.UsageError("--pairs names all images; leave out MOVING and FIXED.", ctx)
    if given["also"]:
        raise click.UsageError("--also is for one pair of people; leave it out with --pairs.", ctx)
    if given["moving_points"] or given["fixed_points"]:
        raise click.UsageError(
            "--moving-points and --fixed-points are of one pair; leave them out with --pairs.", ctx
        )
    if given["png"] is not None:
        raise click.UsageError("--png draws one pair; leave it out with --pairs.", ctx)
    if is_image(given["output"]):
        raise click.UsageError("--pairs needs a folder as --output, not an image file.", ctx)
    failures = Failures(ctx)
    finished = echo_pair if given["verbose"] else lambda report: None
    table, output, force = given["pairs"], given["output"], given["force"]
    arguments = {**_arguments(ctx, given), "processes": given["processes"]}
    if given["verbose"]:
        echo_options(ctx, arguments["options"])
    reports = register_table(table, output, force, failures.add, finished, **arguments)
    if given["as_json"] or not given["quiet"]:
        report_pairs(reports, output, given["as_json"])
    failures.end()
    if given["strict"]:
        warned = [report for report in reports if report.warnings]
        end_on_warnings(ctx, [f"{report.name}: {report.warning_text}" for report in warned])
