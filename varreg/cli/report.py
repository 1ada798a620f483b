"""The command ``varreg report``."""

from __future__ import annotations

from typing import Any

import click

from ..errors import InputError
from .common_options import force
from .exit_codes import Command
from .image_paths import ImagePath, image_options, mask_options


@click.command(cls=Command)
@click.argument("result", type=click.Path())
@click.option("--moving", required=True, type=ImagePath(), help="The moving image of RESULT.")
@click.option("--fixed", required=True, type=ImagePath(), help="The fixed image of RESULT.")
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
    moving: str,
    fixed: str,
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
        found = with_images(load(result), moving, fixed)
        if certificate is not None:
            write(found, Certificate.load(certificate), str(found))
        else:
            said = certify(found.moving, found.fixed, found, threads=threads, **masks)
            write(found, said, str(found))
    if not quiet:
        click.echo(f"Report: {output}")
