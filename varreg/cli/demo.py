"""The command ``varreg demo``."""

from __future__ import annotations

import click

from .common_options import force, quiet, threads
from .exit_codes import Command


@click.command(cls=Command)
@click.option(
    "-o",
    "--output",
    default="varreg-demo",
    show_default=True,
    type=click.Path(),
    help="Output folder.",
)
@click.option("--3d", "volume", is_flag=True, help="A volume instead of a slice.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Random seed of the brain.",
)
@threads
@force
@quiet
def demo(
    output: str, volume: bool, seed: int, threads: int | None, force: bool, quiet: bool
) -> None:
    """Register two contrasts of an artificial brain whose true map is known."""
    from ..data.demo import run_demo

    found = run_demo(
        output,
        dim=3 if volume else 2,
        seed=seed,
        threads=threads,
        progress=False if quiet else None,
        overwrite=force,
    )
    if not quiet:
        click.echo(f"{found}\n\nPicture: {found.picture}")
