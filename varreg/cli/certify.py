"""The command ``varreg certify``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import click

from .backends import backend_options
from .common_options import force
from .exit_codes import Command
from .image_paths import ImagePath, image_options, mask_options
from .parameters import chosen_options, energy_options, is_given
from .spelling import spelled

#: Default number of steps of the refinement.
STEPS = 20


@click.command(cls=Command)
@click.argument("moving", type=ImagePath())
@click.argument("fixed", type=ImagePath())
@click.argument("transform", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Also write the figures to this JSON file.")
@mask_options
@click.option(
    "--trials",
    type=int,
    default=0,
    show_default=True,
    help=(
        "Number of registrations under small perturbations, 4 or 8, to estimate the error in mm."
    ),
)
@click.option(
    "--spread",
    type=click.Path(),
    help="NIfTI file for the spread of the trials (mm).",
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Seed of the random numbers.",
)
@image_options
@energy_options
@click.option("--threads", type=click.IntRange(min=1), help="[default: all cores]")
@backend_options
@force
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
@click.pass_context
def certify(ctx: click.Context, moving: str, fixed: str, transform: str, **given: Any) -> None:
    """Assess the map TRANSFORM from FIXED to MOVING by its energy, folds and inverse.

    TRANSFORM is the folder of a saved result or a file of a transform. The energy is that of the
    result unless options say otherwise; --iterations is the budget of the refinement (one number).
    With --trials 8 it also estimates the mean error over the head, with an interval.
    """
    from ..certificate.certification import certify as compute
    from ..io.files import atomic_path, write_image
    from ..report.progress import count_bar

    names = (
        "fixed_mask",
        "moving_mask",
        "fixed_rigid_mask",
        "moving_rigid_mask",
        "trials",
        "seed",
        "backend",
        "device",
        "threads",
    )
    arguments = {name: given[name] for name in names}
    steps = given["iterations"] if is_given(ctx, "iterations") else STEPS
    if not isinstance(steps, int):
        raise click.BadParameter("must be one number here.", ctx, param_hint="'--iterations'")
    wanted = is_given(ctx, "preset") or any(is_given(ctx, name) for name in _energy_fields())
    options = chosen_options(ctx).replace(iterations=None) if wanted else None
    if given["spread"] is not None and given["trials"] == 0:
        raise click.BadParameter("needs --trials, such as 8.", ctx, param_hint="'--spread'")
    with ExitStack() as outputs:
        if given["output"] is not None:
            file = outputs.enter_context(atomic_path(given["output"], overwrite=given["force"]))
        if given["spread"] is not None:
            image = outputs.enter_context(atomic_path(given["spread"], overwrite=given["force"]))
        silent = False if given["quiet"] or given["trials"] == 0 else None
        with count_bar(given["trials"], silent, unit="trials") as shown:
            found = compute(
                moving, fixed, transform, iterations=steps, options=options,
                callback=shown.update, **arguments,
            )  # fmt: skip
        if found.spread is not None and given["spread"] is not None:
            write_image(image, found.spread.data, like=found.spread, overwrite=True)
        if given["output"] is not None:
            file.write_text(found.to_json() + "\n", encoding="utf-8")
    if given["as_json"] or not given["quiet"]:
        click.echo(found.to_json() if given["as_json"] else spelled(str(found)))


def _energy_fields() -> list[str]:
    """Options that change the energy; the number of iterations does not."""
    import dataclasses

    from ..options.options import Options

    return [f.name for f in dataclasses.fields(Options) if f.name != "iterations"]
