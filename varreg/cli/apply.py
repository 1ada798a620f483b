"""``varreg apply``: application of a saved result or of other tools' transforms to images, labels and points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..exchange.formats import FORMATS
from ..images.slide_files import is_slide, may_be_pyramid
from .common_options import force
from .exit_codes import Command
from .image_paths import ImagePath, image_file, image_options
from .series import warp_series
from .slides import apply_to_slide, refuse_for_slides
from .transforms import files_and_flags, on_reference

if TYPE_CHECKING:
    from ..images.image import Image
    from ..transforms.transform import Transform

FUNCTION = "varreg apply"


@click.command(cls=Command)
@click.argument("inputs", metavar="[RESULT] IMAGE", nargs=-1, required=True, type=click.Path())
@click.option("-o", "--output", required=True, type=click.Path(), help="Output file.")
@click.option(
    "-t",
    "--transform",
    "transforms",
    multiple=True,
    help="Instead of RESULT: a transform file of any tool, or a saved result. Several in the order of "
    "`antsApplyTransforms -t` and `greedy -r`: the first is applied to a fixed point first. [FILE,1] or "
    "FILE,-1 inverts an affine transform. Requires --fixed and --moving.",
)
@click.option(
    "--from",
    "format_",
    type=click.Choice(FORMATS),
    help="Format of -t. [default: detected]",
)
@click.option("--fixed", type=ImagePath(), help="With -t: the fixed image.")
@click.option("--moving", type=ImagePath(), help="With -t: the moving image. [default: IMAGE]")
@click.option(
    "--reference",
    type=ImagePath(),
    help=(
        "Image that defines the grid of the output. [default: the fixed image; with "
        "--inverse the moving]"
    ),
)
@click.option(
    "--interpolation",
    type=click.Choice(["linear", "nearest", "cubic"]),
    default="linear",
    show_default=True,
    help="Interpolation. For labels, linear chooses the label with the largest share.",
)
@click.option(
    "--fill",
    type=float,
    help="Value of the output outside IMAGE. [default: its background; 0 for labels]",
)
@click.option(
    "--modulate",
    is_flag=True,
    help=(
        "Multiply intensities by the change of volume, which preserves their sum: for "
        "distorted EPI and densities."
    ),
)
@click.option("--labels", is_flag=True, help=("IMAGE is a label map; labels are not interpolated."))
@click.option(
    "--points",
    type=click.Choice(["world", "voxel"]),
    help="IMAGE is a table (.csv, .tsv) of points of the fixed image, mapped to the moving "
    "image, in world (RAS+ mm) or voxel coordinates; columns x, y, z, or else the first columns. "
    "Other columns are kept.",
)
@click.option(
    "--inverse",
    is_flag=True,
    help="Apply the inverse: warp IMAGE from the fixed to the moving grid; map points of the "
    "moving image to the fixed image.",
)
@click.option(
    "--bvecs",
    type=click.Path(),
    help=(
        "For a diffusion series: its b-vectors (FSL), which are rotated with it and written "
        "beside the output (.bvec)."
    ),
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="For a series: volumes processed at once. [default: all cores]",
)
@image_options
@force
@click.pass_context
def apply(
    ctx: click.Context, inputs: tuple[str, ...], output: str, force: bool, **given: Any
) -> None:
    """Warp another IMAGE from the moving to the fixed grid of a saved RESULT.

    If OUTPUT is .ome.tif or .ome.zarr, a slide (OME-TIFF, OME-Zarr) is warped at full resolution, tile by tile, to the grid of
    the fixed slide --reference, or of its --level.

    IMAGE may be a series (4D), which is warped volume by volume; RESULT, or the last -t, may be the folder written by
    `varreg series`, with a map for each volume.
    """
    from ..images.series import is_series
    from ..io.atomic import atomic_path
    from ..io.point_tables import read_table, write_table

    _refuse(inputs, given)
    given["image"] = image_file(ctx, inputs[-1])
    if is_slide(output) and not given["points"] and may_be_pyramid(inputs[-1]):
        refuse_for_slides(given["inverse"], given["interpolation"], given["modulate"])
        apply_to_slide(_loaded(inputs, given)[0], output, force, given)
        return
    if is_series(given["image"]):
        warp_series(output, inputs, force, given)
        return
    _refuse_motion(inputs, given)
    with atomic_path(output, overwrite=force) as temporary:
        transform, spaces = _loaded(inputs, given)
        if given["points"]:
            rows, columns, points = read_table(inputs[-1], transform.fixed.dim)
            onto = transform.inverse() if given["inverse"] else transform
            write_table(temporary, rows, columns, onto.points(points, given["points"]))
        else:
            _warp(temporary, output, given["image"], transform, spaces, given)


def _refuse(inputs: tuple[str, ...], given: dict[str, Any]) -> None:
    """Refuse options that are incompatible."""
    expected = 1 if given["transforms"] else 2
    if len(inputs) != expected:
        wanted = "IMAGE alone, since -t was given" if expected == 1 else "RESULT and IMAGE"
        raise click.UsageError(f"give {wanted}; got {len(inputs)} names: {' '.join(inputs)}.")
    if given["labels"] and given["interpolation"] == "cubic":
        raise click.UsageError("--labels requires --interpolation linear or nearest, not cubic.")
    if given["fill"] is not None and (given["labels"] or given["points"]):
        raise click.UsageError(
            "--fill cannot be combined with --labels, which are 0 outside, or --points."
        )
    if given["modulate"] and (given["labels"] or given["points"]):
        raise click.UsageError(
            "--modulate is for intensities; it cannot be combined with --labels or --points."
        )
    if given["points"] and (given["labels"] or given["reference"]):
        raise click.UsageError("--points cannot be combined with --labels or --reference.")


def _refuse_motion(inputs: tuple[str, ...], given: dict[str, Any]) -> None:
    """Refuse transforms and options for image series if the input is not one."""
    from ..series.folder import is_aligned

    if is_aligned(inputs[0]) or any(is_aligned(path) for path in given["transforms"]):
        raise click.UsageError(
            "a motion has a map for each volume of a series; give the series as IMAGE."
        )
    for name in ("bvecs", "threads"):
        if given[name]:
            raise click.UsageError(f"--{name} requires a series, and the last argument is not one.")


def _loaded(inputs: tuple[str, ...], given: dict[str, Any]) -> tuple[Transform, list[Image]]:
    """The transform, and empty images on the fixed and the moving grid."""
    from ..exchange.reading import read_transform
    from ..images.loading import geometry

    if not given["transforms"]:
        from ..results.result import load

        result = load(inputs[0])
        return result.transform, [result.warped, _moving_space(result)]
    moving = given["moving"]
    if moving is None and not (given["inverse"] or given["points"]):
        moving = given["image"]
    paths, flags = files_and_flags(given["transforms"])
    transform = read_transform(paths, given["fixed"], moving, format=given["format_"], invert=flags)
    if given["fixed"] is None:  # of a saved result
        return transform, [_empty(transform.fixed, transform), _empty(transform.moving, transform)]
    images = (("fixed", given["fixed"]), ("moving", moving))
    return transform, [geometry(value, name, FUNCTION) for name, value in images]


def _warp(
    path: Any,
    output: str,
    image: Any,
    transform: Transform,
    spaces: list[Image],
    given: dict[str, Any],
) -> None:
    """Warp an image or labels and write them on the target grid."""
    from ..images.loading import geometry
    from ..io.files import write_image, write_pixels
    from ..transforms.warped_pixels import is_picture, warped_pixels

    inverse, reference = given["inverse"], given["reference"]
    space = spaces[1] if inverse else spaces[0]
    if reference is not None:
        transform = on_reference(transform, reference, inverse)
        space = geometry(reference, "reference", FUNCTION)
    onto = transform.inverse() if inverse else transform
    if given["labels"]:
        warped = onto.warp_labels(image, given["interpolation"])
    elif (
        is_picture(image) and is_picture(output) and not given["modulate"]
    ):  # with colours, in 8 bits
        warped = warped_pixels(
            onto, image, given["interpolation"], given["fill"], function=FUNCTION
        )
        write_pixels(path, warped, space)
        return
    else:
        settings = given["interpolation"], given["fill"]
        warped = onto.warp(image, *settings, modulate=given["modulate"])
    write_image(path, warped, like=space, overwrite=True)


def _moving_space(result: Any) -> Image:
    """An empty image on the moving grid, which a saved result does not contain."""
    from dataclasses import replace

    warped = result.warped
    empty = _empty(result.transform.moving, result.transform)
    return replace(empty, frame=warped.frame, slice_step=warped.slice_step)


def _empty(grid: Any, transform: Transform) -> Image:
    import numpy as np

    from ..images.image import Image

    return Image(np.zeros(grid.shape, dtype=np.float32), grid, frame=transform.frame)
