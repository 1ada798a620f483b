"""The command ``varreg report``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ..errors import InputError
from .common_options import force
from .exit_codes import Command
from .image_paths import ImagePath, image_options, mask_options

if TYPE_CHECKING:
    from ..results.result import Result


@click.command(cls=Command)
@click.argument("result", type=click.Path())
@click.option(
    "--moving",
    type=ImagePath(),
    help="The moving image of RESULT. [default: the file that was registered]",
)
@click.option(
    "--fixed",
    type=ImagePath(),
    help="The fixed image of RESULT. [default: the file that was registered]",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(), help="Output page, ending in .html."
)
@click.option(
    "--certificate",
    type=click.Path(),
    help="Certificate of this result, written by `varreg certify -o`. [default: computed]",
)
@mask_options
@image_options
@click.option("--threads", type=click.IntRange(min=1), help="[default: all cores]")
@force
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def report(
    result: str,
    moving: str | None,
    fixed: str | None,
    output: str,
    certificate: str | None,
    threads: int | None,
    force: bool,
    quiet: bool,
    **masks: Any,
) -> None:
    """Write the HTML report of a saved RESULT: images, map, checks and certificate."""
    from ..certificate.certificate import Certificate
    from ..certificate.certification import certify
    from ..report.page import reserved
    from ..report.subject import with_images
    from ..results.result import load

    if certificate is not None and any(masks.values()):
        raise InputError("--certificate brings its own figures; leave out the masks.")
    with reserved(output, force) as write:
        saved = load(result)
        images = [
            given or _registered_file(saved, role)
            for role, given in (("moving", moving), ("fixed", fixed))
        ]
        found = with_images(saved, *images)
        if certificate is not None:
            write(found, Certificate.load(certificate), str(found))
        else:
            new_certificate = certify(found.moving, found.fixed, found, threads=threads, **masks)
            write(found, new_certificate, str(found))
    if not quiet:
        click.echo(f"Report: {output}")


def _registered_file(result: Result, role: str) -> str:
    """The image file of a result, if it still exists."""
    from ..report.repetition import image_file

    name = image_file(result, role)
    if name is None:
        raise InputError(f"The result names no file of its {role} image; give it with --{role}.")
    if not os.path.exists(name):
        raise InputError(
            f"The {role} image of the result, {name}, does not exist (any more, or from here); "
            f"give it with --{role}."
        )
    return name
