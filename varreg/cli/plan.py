"""The command ``varreg plan``."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .exit_codes import Command
from .spelling import spelled

if TYPE_CHECKING:
    from ..cohort.plan import Fit, Plan

#: Largest number of sessions listed individually.
SHOWN = 10


@click.command(cls=Command)
@click.argument("dataset", metavar="BIDS_DIR", type=click.Path())
@click.argument("output", metavar="[OUT_DIR]", required=False, type=click.Path())
@click.option("--to", help="As for `varreg bids`.")
@click.option("--contrast", "contrasts", multiple=True, help="As for `varreg bids`.")
@click.option("--onto", default="T1w", show_default=True, help="As for `varreg bids`.")
@click.option("--participant-label", "participants", multiple=True, help="[default: all]")
@click.option("--session-label", "sessions", multiple=True, help="[default: all]")
@click.option(
    "--cores",
    type=click.IntRange(min=1),
    help=("Cores of the machine. [default: those of this machine]"),
)
@click.option(
    "--memory",
    type=click.FloatRange(min=0, min_open=True),
    help="Memory of the machine in GiB. [default: free memory of this machine]",
)
@click.option(
    "--json", "as_json", is_flag=True, help=("Print the plan as JSON, with every session.")
)
def plan(
    dataset: str,
    output: str | None,
    to: str | None,
    contrasts: tuple[str, ...],
    onto: str,
    participants: tuple[str, ...],
    sessions: tuple[str, ...],
    cores: int | None,
    memory: float | None,
    as_json: bool,
) -> None:
    """Estimate memory and time of `varreg bids` for each session, and the number of workers that fit.

    Only headers are read.  If OUT_DIR contains finished sessions, the times are derived from them.
    """
    from ..backends.threads import available_threads
    from ..cohort.dataset import read_sessions
    from ..cohort.plan import fit, plan_of
    from ..cohort.template import template_of
    from ..cohort.wanted import Wanted
    from ..jobs.memory import free_gibibytes

    wanted = Wanted(None if to is None else template_of(to), contrasts, onto)
    chosen = read_sessions(dataset, wanted.suffixes, participants, sessions)
    planned = plan_of(chosen, wanted, None if output is None else Path(output))
    cores = available_threads() if cores is None else cores
    memory = free_gibibytes() if memory is None else memory
    fits = fit(planned.needs, cores, memory)
    if as_json:
        content = {
            "sessions": [dataclasses.asdict(need) for need in planned.needs],
            "refused": list(planned.refused),
        }
        machine = {"cores": cores, "gibibytes": memory, "measured": planned.measured}
        click.echo(
            json.dumps(content | {"machine": machine, "fit": dataclasses.asdict(fits)}, indent=2)
        )
        return
    _echo(planned, fits, cores, memory)


def _echo(planned: Plan, fits: Fit, cores: int, memory: float) -> None:
    """Print the table of sessions, and the number of workers that fit."""
    found, measured = planned.needs, planned.measured
    for line in planned.refused:
        click.echo(f"varreg: {spelled(line)}", err=True)
    click.echo(f"{'session':<24}{'registrations':>14}{'voxels':>12}{'GiB':>7}{'minutes':>9}")
    for need in found[:SHOWN]:
        click.echo(
            f"{need.name:<24}{need.registrations:>14}{need.voxels:>12}{need.gibibytes:>7.2f}"
            f"{need.seconds / 60:>9.2f}"
        )
    if len(found) > SHOWN:
        click.echo(f"... and {len(found) - SHOWN} more")
    total = sum(need.seconds for need in found) / 3600
    source = (
        f"of {measured} finished sessions"
        if measured
        else "of the benchmark's machine; give OUT_DIR once some are finished"
    )
    click.echo(
        f"{len(found)} sessions, {total:.2f} hours of one core (times {source}); {fits.gibibytes:.2f} GiB for each worker.\n"
        f"{cores} cores and {memory:.1f} GiB: {fits.workers} workers fit (--processes {fits.workers}), "
        f"{fits.hours:.2f} hours."
        if fits.workers
        else f"{len(found)} sessions need {fits.gibibytes:.2f} GiB for each worker, and there are {memory:.1f} GiB: none fits; "
        "use a larger machine."
    )
