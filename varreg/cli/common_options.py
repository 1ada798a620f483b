"""Options shared by several commands."""

from __future__ import annotations

import click

force = click.option("--force", is_flag=True, help="Overwrite an existing output.")
quiet = click.option("-q", "--quiet", is_flag=True, help="Print no progress bar and no report.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
threads = click.option(
    "--threads", type=click.IntRange(min=1), help="Number of threads. [default: all cores]"
)
strict = click.option(
    "--strict",
    is_flag=True,
    help="Exit with code 3 if a check warns; the result is written in any case.",
)
