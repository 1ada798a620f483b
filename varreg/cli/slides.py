"""Slides on the command line: output at full resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..images.image_file import ImageFile
from ..images.slide_files import may_be_pyramid

if TYPE_CHECKING:
    from ..results.result import Result
    from ..transforms.transform import Transform


def write_slide(
    result: Result, moving: Any, path: str, fixed: Any, fill: float | None, overwrite: bool
) -> None:
    """Write the moving slide at full resolution of the fixed one, whatever the resolution of the registration.

    Parameters
    ----------
    result : Result
    moving, fixed : path or ImageFile
    path, fill, overwrite
        See :func:`varreg.warp_slide`.
    """
    from ..slides.warping import warp_slide

    full = None
    if may_be_pyramid(fixed):
        full = ImageFile(fixed, spacing=getattr(fixed, "spacing", None))
    warp_slide(result, moving, path, full, fill=fill, overwrite=overwrite)


def apply_to_slide(transform: Transform, output: str, force: bool, given: dict[str, Any]) -> None:
    """``varreg apply`` for a slide.

    Parameters
    ----------
    transform : Transform
    output : str
    force : bool
        Replace an existing output.
    given : dict
        The other parameters of the command.
    """
    from ..slides.warping import warp_slide

    reference = given["reference"] or given["fixed"]
    warp_slide(
        transform, given["image"], output, reference, given["interpolation"],
        labels=given["labels"], fill=given["fill"], overwrite=force,
    )  # fmt: skip


def refuse_for_slides(inverse: bool, interpolation: str, modulate: bool = False) -> None:
    """Refuse options that slides do not support."""
    if modulate:
        raise click.UsageError(
            "--modulate does not go with slides; write a smaller picture (.png)."
        )
    if inverse:
        raise click.UsageError(
            "--inverse is not available for slides; exchange the moving and the fixed slide, or write a smaller picture (.png)."
        )
    if interpolation == "cubic":
        raise click.UsageError("slides take --interpolation linear or nearest, not cubic.")
