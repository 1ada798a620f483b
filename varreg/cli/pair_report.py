"""Reports of the pairs of a table, for the summary and the terminal."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import click

SUMMARY = "summary.csv"


@dataclass(frozen=True)
class PairReport:
    """Row of the summary; numbers are None for a failed pair.

    Parameters
    ----------
    name, moving, fixed : str
        As in the table.
    seconds : float or None
        Run time of this pair, with its number of threads.
    similarity_before, similarity_after : float or None
        Before and after registration.
    energy : float or None
        Final energy.
    smallest_determinant : float or None
        Lower bound on det(id + grad u) at every point.
    warnings : int or None
        Number of failed checks.
    warning_text : str
        Their messages; empty if all passed.
    stop : str
        Reason for the end of the last level.
    error : str
        Error message; empty if the pair was registered.
    """

    name: str
    moving: str
    fixed: str
    seconds: float | None = None
    similarity_before: float | None = None
    similarity_after: float | None = None
    energy: float | None = None
    smallest_determinant: float | None = None
    warnings: int | None = None
    warning_text: str = ""
    stop: str = ""
    error: str = ""


def report_pairs(reports: list[PairReport], output: str, as_json: bool) -> None:
    """Print the number of registered pairs on stdout, or the summary as JSON.

    Parameters
    ----------
    reports : list of PairReport
    output : str
        Folder of the summary.
    as_json : bool

    Examples
    --------
    >>> from varreg.cli.pair_report import PairReport, report_pairs
    >>> report_pairs([PairReport("a", "t2.nii", "t1.nii", error="`moving` is constant.")], "out", False)
    Checks: 0 of 0 results have warnings.
    0 of 1 pairs were registered; out/summary.csv lists the outcome of each.
    """
    from ..io.records import plain

    if as_json:
        click.echo(json.dumps(plain(reports), indent=2))
        return
    written = sum(not report.error for report in reports)
    warned = sum(bool(report.warnings) for report in reports)
    click.echo(
        f"Checks: {warned} of {written} results have warnings.\n{written} of {len(reports)} pairs were registered; {Path(output, SUMMARY)} lists the "
        "outcome of each."
    )


def echo_pair(report: PairReport) -> None:
    """Print one finished pair on stderr, for logs without a progress bar.

    Parameters
    ----------
    report : PairReport

    Examples
    --------
    >>> from varreg.cli.pair_report import PairReport, echo_pair
    >>> echo_pair(PairReport("a", "a-t2.nii", "a-t1.nii", 0.2, 0.5, 0.75, -0.75, 0.4, 0))
    """
    if report.error:
        return  # already reported
    warned = f", {report.warnings} warnings: {report.warning_text}" if report.warnings else ""
    click.echo(
        f"{report.name}: similarity {report.similarity_before:.4f} -> "
        f"{report.similarity_after:.4f}, energy {report.energy:.4f}, smallest determinant "
        f"{report.smallest_determinant:.3f}, {report.seconds:.2f} s{warned}",
        err=True,
    )
