"""Options for the execution of jobs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--threads",
        type=click.IntRange(min=1),
        help=(
            "Threads of each worker, or of this process. [default: all cores, divided among the workers; "
            "1 on a cluster]"
        ),
    ),
    click.option(
        "--processes",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Worker processes on this machine; 0 for none.",
    ),
    click.option(
        "--scheduler",
        help=(
            "Address of a Dask scheduler (tcp://node:8786); or slurm, to start workers by SLURM."
        ),
    ),
    click.option(
        "--workers",
        type=click.IntRange(min=1),
        default=8,
        show_default=True,
        help="Largest number of SLURM workers.",
    ),
    click.option(
        "--worker-memory",
        type=click.FloatRange(min=0, min_open=True),
        help="Memory of each SLURM worker in GiB. [default: from the largest image]",
    ),
    click.option(
        "--worker-hours",
        type=click.FloatRange(min=0, min_open=True),
        default=4.0,
        show_default=True,
        help="Hours of each SLURM worker, after which it is replaced.",
    ),
)


def engine_options(command: Decorated) -> Decorated:
    """Add the options for the execution of jobs to a command; :func:`chosen_engine` reads them.

    Examples
    --------
    >>> import click
    >>> from varreg.cli.engines import engine_options
    >>> [option.name for option in click.command()(engine_options(lambda: 0)).params][:3]
    ['threads', 'processes', 'scheduler']
    """
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_engine(given: dict[str, Any], memory: float | None) -> Any:
    """The engine chosen on the command line.

    Parameters
    ----------
    given : dict
        Values of the options of :func:`engine_options`.
    memory : float or None
        GiB per worker, used if the command line does not state it and it matters.

    Returns
    -------
    varreg.jobs.engine.Engine
    """
    from ..jobs.engine import Engine

    wanted = given["worker_memory"] or memory
    return Engine(
        processes=given["processes"],
        scheduler=given["scheduler"],
        workers=given["workers"],
        threads=given["threads"],
        hours=given["worker_hours"],
        memory=4.0 if wanted is None else wanted,
    )
