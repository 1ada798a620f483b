"""The command ``varreg bids``, which follows the BIDS app convention."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FileError, InputError
from .backends import backend_options
from .common_options import quiet, strict
from .engines import chosen_engine, engine_options
from .exit_codes import Command, Failures, end_on_warnings
from .parameters import chosen_options, energy_options
from .spelling import spelled

if TYPE_CHECKING:
    from ..jobs.job import Outcome

LEVELS = ("participant", "group")
#: Options with several values in a row, as in other BIDS apps.
LISTS = {
    "--participant-label": "--participant-label",
    "--participant_label": "--participant-label",
    "--session-label": "--session-label",
    "--session_label": "--session-label",
    "--contrast": "--contrast",
}
_POSITIONAL = 3


class BidsCommand(Command):
    """Command with list options written as ``--participant-label 01 02 03``, after its arguments."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Prefix each value of a list with the name of its option."""
        return super().parse_args(ctx, spread(args))


def spread(arguments: Sequence[str]) -> list[str]:
    """Command-line arguments with lists expanded to repeated options.

    Before LEVEL a list has one value, because further values could not be distinguished from the folders.

    Examples
    --------
    >>> from varreg.cli.bids import spread
    >>> spread(["in", "out", "group", "--participant_label", "01", "02", "-q"])
    ['in', 'out', 'group', '--participant-label', '01', '--participant-label', '02', '-q']
    """
    found, option, taken, behind = list[str](), "", 0, False
    for argument in arguments:
        if argument.startswith("-"):
            option, taken = LISTS.get(argument, ""), 0
            found += [] if option else [argument]
        elif option and (behind or taken == 0):
            found += [option, argument]
            taken += 1
        else:
            behind = behind or argument in LEVELS
            found.append(argument)
    return found


@click.command(cls=BidsCommand)
@click.argument("dataset", metavar="BIDS_DIR", type=click.Path())
@click.argument("output", metavar="OUT_DIR", type=click.Path())
@click.argument("level", metavar="LEVEL", type=click.Choice(LEVELS))
@click.option(
    "--to",
    help="Template to which every person is registered: an image, or a TemplateFlow name "
    "such as MNI152NLin2009cAsym.",
)
@click.option(
    "--contrast",
    "contrasts",
    multiple=True,
    help=(
        "Suffix of images registered to the image of suffix --onto of the same session, e.g. "
        "T2w; may be repeated."
    ),
)
@click.option(
    "--onto",
    default="T1w",
    show_default=True,
    help="Suffix of the image registered to the template.",
)
@click.option(
    "--participant-label", "participants", multiple=True, help="Participant labels. [default: all]"
)
@click.option("--session-label", "sessions", multiple=True, help="Session labels. [default: all]")
@engine_options
@backend_options
@energy_options
@click.option("--force", is_flag=True, help="Repeat finished sessions.")
@strict
@click.option("--json", "as_json", is_flag=True, help="Print the outcome of each session as JSON.")
@quiet
@click.pass_context
def bids(ctx: click.Context, dataset: str, output: str, level: str, **given: Any) -> None:
    """Register a BIDS dataset (LEVEL participant), or write a page of all registrations (LEVEL group).

    Finished sessions are skipped unless images, options or version have changed.  A session that fails does not stop
    the others.  OUT_DIR becomes a dataset of derivatives.
    """
    images, made = (Path(os.path.abspath(Path(name).expanduser())) for name in (dataset, output))
    if images.is_relative_to(made):
        raise InputError(
            f"OUT_DIR {output!r} contains the images; choose another folder, such as BIDS_DIR/derivatives/varreg."
        )
    if level == "group":
        _group(images, made, given)
    else:
        _participants(ctx, images, made, given)


def _participants(ctx: click.Context, dataset: Path, output: Path, given: dict[str, Any]) -> None:
    from ..cohort.dataset import read_sessions
    from ..cohort.derivatives import write_description
    from ..cohort.plan import gibibytes_of
    from ..cohort.template import template_of
    from ..cohort.wanted import Wanted, jobs_of
    from ..jobs.running import run_jobs

    wanted = Wanted(
        None if given["to"] is None else template_of(given["to"]),
        given["contrasts"],
        given["onto"],
        chosen_options(ctx),
        given["backend"],
        given["device"],
    )
    sessions = read_sessions(dataset, wanted.suffixes, given["participants"], given["sessions"])
    memory = gibibytes_of(sessions, wanted) if given["scheduler"] == "slurm" else None
    engine = chosen_engine(given, memory)
    write_description(output, dataset)
    progress = False if given["quiet"] else None
    outcomes = run_jobs(
        jobs_of(sessions, wanted, dataset, output),
        engine,
        again=given["force"],
        progress=progress,
        unit="sessions",
    )
    failures = Failures(ctx)
    for outcome in outcomes:
        if outcome.error is not None:
            failures.add(outcome.name, outcome.error)
    if given["as_json"] or not given["quiet"]:
        click.echo(_as_json(outcomes) if given["as_json"] else _words(outcomes, output))
    failures.end()
    if given["strict"]:
        end_on_warnings(ctx, [line for outcome in outcomes for line in _warnings(outcome)])


def _group(dataset: Path, output: Path, given: dict[str, Any]) -> None:
    from ..cohort.group import write_group

    if not output.is_dir():
        raise FileError(
            f"OUT_DIR {str(output)!r} does not exist; run the level participant first: varreg bids BIDS_DIR OUT_DIR "
            "participant --to TEMPLATE."
        )
    rows = write_group(output, dataset, given["participants"], given["sessions"])
    if given["as_json"]:
        click.echo(json.dumps([row.cells() for row in rows], indent=2))
    elif not given["quiet"]:
        wrong = sum(bool(row.error) for row in rows)
        warned = sum(bool(row.warnings) for row in rows)
        click.echo(
            f"{len(rows)} registrations: {wrong} failed or absent, {warned} with warnings. The page: {output / 'group.html'}; "
            f"the table: {output / 'group.tsv'}."
        )


def _warnings(outcome: Outcome) -> list[str]:
    return [
        f"{outcome.name}: {found['from']} to {found['to']}: {spelled(warning)}"
        for found in outcome.facts.get("registrations", ())
        for warning in found["warnings"]
    ]


def _words(outcomes: list[Outcome], output: Path) -> str:
    """One-line summary: the number of jobs by outcome."""
    states = [outcome.state.value for outcome in outcomes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    warned = sum(bool(_warnings(outcome)) for outcome in outcomes)
    return f"{len(outcomes)} sessions: {counts}; {warned} with warnings. Derivatives: {output}."


def _as_json(outcomes: list[Outcome]) -> str:
    from ..jobs.verdict import verdict

    entries = [
        {
            "name": outcome.name,
            "state": outcome.state.value,
            "seconds": round(outcome.seconds, 3),
            "error": "" if outcome.error is None else spelled(verdict(outcome.error)[0]),
            "exit_code": 0 if outcome.error is None else verdict(outcome.error)[1],
            "warnings": _warnings(outcome),
        }
        for outcome in outcomes
    ]
    return json.dumps(entries, indent=2)
