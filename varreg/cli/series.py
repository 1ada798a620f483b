"""``varreg series``: motion correction of an image series, and application of transforms to one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .common_options import as_json, force, quiet, strict
from .exit_codes import Command, end_on_warnings
from .image_paths import ImagePath, header_option, image_file
from .spelling import spelled
from .transforms import files_and_flags

if TYPE_CHECKING:
    from ..series.aligned import AlignedSeries


class VolumeOrMean(click.ParamType):
    """Index of a volume, or ``mean``."""

    name = "mean|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to a number, except ``mean``."""
        if value == "mean":
            return value
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither 'mean' nor the number of a volume.", param, ctx)


@click.command(cls=Command)
@click.argument("series", type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="Output folder.")
@click.option(
    "--reference",
    type=VolumeOrMean(),
    default="mean",
    show_default=True,
    help="Number of the reference volume, from 0; or the mean of all volumes, in two rounds.",
)
@click.option(
    "--model",
    type=click.Choice(["rigid", "affine"]),
    default="rigid",
    show_default=True,
    help="Model of the map of each volume.",
)
@click.option("--mask", type=ImagePath(), help="Mask of the reference. [default: the head]")
@click.option(
    "--bvecs",
    type=click.Path(),
    help="b-vectors of diffusion weighting (FSL), which are rotated with the volumes.",
)
@click.option(
    "--interpolation",
    type=click.Choice(["linear", "nearest", "cubic"]),
    default="cubic",
    show_default=True,
    help="Interpolation of the aligned volumes.",
)
@header_option
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help=("Volumes processed at once. [default: all cores]"),
)
@strict
@force
@as_json
@quiet
@click.pass_context
def series(ctx: click.Context, series: str, output: str, **given: Any) -> None:
    """Correct the motion of the volumes of SERIES (4D).

    The folder contains the aligned series, its mean, the motion as BIDS confounds (.tsv, .json), a figure, and
    series.json for `varreg apply`: `varreg apply -t TEMPLATE -t T1 -t FOLDER SERIES -o OUT`, with the
    registrations of T1 to template and of mean to T1, interpolates once.
    """
    from ..io.atomic import free_folder
    from ..series.alignment import align_series
    from ..series.folder import RECORD

    free_folder(output, overwrite=given["force"], marker=RECORD)
    common: dict[str, Any] = {
        "threads": given["threads"],
        "progress": False if given["quiet"] else None,
    }
    names = ("reference", "model", "mask", "bvecs")
    result = align_series(
        image_file(ctx, series), **{name: given[name] for name in names}, **common
    )
    result.save(output, interpolation=given["interpolation"], overwrite=given["force"], **common)
    if given["as_json"] or not given["quiet"]:
        report_series(result, given["as_json"])
        if not given["as_json"]:
            click.echo(f"Written: {output} (for varreg.load_series and varreg apply).")
    if given["strict"] and result.warnings:
        from ..optimise.check import first_line

        end_on_warnings(ctx, [first_line(result.checks)])


def report_series(result: AlignedSeries, as_json: bool) -> None:
    """Print a summary of an aligned series on stdout."""
    click.echo(json.dumps(_numbers(result), indent=2) if as_json else spelled(str(result)))


def _numbers(result: AlignedSeries) -> dict[str, Any]:
    """The values of an aligned series for JSON."""
    from ..io.records import plain
    from ..series.motion import COLUMNS

    jumps = [plain(value) for value in result.framewise_displacement.tolist()]
    columns = zip(COLUMNS, result.parameters.T.tolist(), strict=True)
    return {
        "series": result.name,
        "volumes": result.count,
        "model": result.model,
        "reference": result.reference,
        "warnings": [spelled(str(check)) for check in result.warnings],
        "checks": [plain(check) for check in result.checks],
        "notes": [spelled(note) for note in result.notes],
        **dict(columns),
        "framewise_displacement": [None if value == "nan" else value for value in jumps],
        "motion": result.motion.tolist(),
        "provenance": result.provenance,
    }


def warp_series(output: str, inputs: tuple[str, ...], force: bool, given: dict[str, Any]) -> None:
    """``varreg apply`` for an image series."""
    from ..series.applying import apply_series
    from ..series.bvectors import write_bvectors

    if given["points"]:
        raise click.UsageError(
            "--points requires a table of points; the last argument is a series."
        )
    if given["modulate"]:
        raise click.UsageError(
            "--modulate requires a single volume; the last argument is a series."
        )
    transforms: list[Any] = [inputs[0]]
    reference = given["reference"]
    if given["transforms"]:
        transforms = _maps(given)
        if len(transforms) == 1 and reference is None:
            reference = given["fixed"]
    names = ("inverse", "interpolation", "fill", "modulate", "labels", "bvecs", "threads")
    directions = apply_series(
        given["image"], transforms, output, reference=reference, overwrite=force,
        **{name: given[name] for name in names},
    )  # fmt: skip
    if directions is not None:
        write_bvectors(Path(_stem(output) + ".bvec"), directions)


def _maps(given: dict[str, Any]) -> list[Any]:
    """The maps of -t; those before a motion are composed."""
    from ..exchange.reading import read_transform
    from ..images.series import as_volumes
    from ..series.aligned import load_series
    from ..series.folder import is_aligned

    paths, flags = files_and_flags(given["transforms"])
    motion = []
    if is_aligned(paths[-1]) and not flags[-1]:
        motion = [load_series(paths.pop())]
        flags.pop()
    if not paths:
        return motion
    moving = given["moving"]
    if moving is None and given["fixed"] is not None:
        volumes = as_volumes(given["image"], argument="IMAGE", function="varreg apply")
        moving = motion[0].grid if motion else volumes.grid
    own = given["fixed"] is None and len(paths) > 1  # saved results, which contain their grids
    if own and not any(flags):
        return [*paths, *motion]
    common = given["fixed"], moving
    return [read_transform(paths, *common, format=given["format_"], invert=flags), *motion]


def _stem(output: str) -> str:
    return output[: -len(".nii.gz")] if output.lower().endswith(".nii.gz") else output[:-4]
