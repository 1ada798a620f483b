"""The command ``varreg info``."""

from __future__ import annotations

import click

from .common_options import as_json
from .exit_codes import Command
from .result_report import report
from .series import report_series


@click.command(cls=Command)
@click.argument("result", type=click.Path())
@as_json
def info(result: str, as_json: bool) -> None:
    """Summarise a saved RESULT, or the folder written by `varreg series`."""
    from ..results.result import load
    from ..series.aligned import load_series
    from ..series.folder import is_aligned

    if is_aligned(result):
        report_series(load_series(result), as_json)
    else:
        report(load(result), as_json)
