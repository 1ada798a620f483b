"""``varreg register --pairs``: every pair of a table into a folder of its own, and a summary."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FileError
from .exit_codes import typed, with_command
from .image_paths import image_file

if TYPE_CHECKING:
    from ..batch.pair_table import TableRow
    from ..results.result import Result
    from .resume import FinishedPairs

SUMMARY = "summary.csv"
#: Image files with fewer bytes than this are taken for slices; a wrong guess costs some seconds.
SMALL_FILE = 2**19


@dataclass(frozen=True)
class PairReport:
    """Line of the summary; numbers are None for a pair that failed.

    Parameters
    ----------
    name, moving, fixed : str
        As in the table.
    seconds : float or None
        For this pair, with the threads it had.
    similarity_before, similarity_after : float or None
        With nothing done, and at the end.
    energy : float or None
        At the end.
    smallest_determinant : float or None
        Lower bound on det(id + grad u) at every point.
    warnings : int or None
        How many checks warn of the answer.
    warning_text : str
        What they say; empty if none does.
    stop : str
        Why the last level ended.
    error : str
        What went wrong; empty if nothing did.
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


def register_table(
    table: str,
    output: str,
    overwrite: bool,
    failed: Callable[[str, Exception], str],
    finished: Callable[[PairReport], None],
    processes: int | None = None,
    **arguments: Any,
) -> list[PairReport]:
    """Register the pairs of a table and write each as soon as it is there.

    Parameters
    ----------
    table : str
        See :func:`varreg.batch.pair_table.read_pairs`.
    output : str
        Folder for a folder per pair, and ``summary.csv``.
    overwrite : bool
        Replace results and a summary that exist.  Without it, pairs that were finished of the same images and
        options are kept, and one of others is refused.
    failed : callable
        Takes the name of a pair and its error; returns the words for the summary.
    finished : callable
        Takes the report of every pair.
    processes : int, optional
        As for :func:`varreg.solve_batch`, but by default also files are taken for slices, by their
        size on disk.
    **arguments
        As for :func:`varreg.solve_batch`.

    Returns
    -------
    list of PairReport
        In the order of the table.

    Raises
    ------
    varreg.errors.VarregError
        If the table, an argument or the output is unusable; nothing has been computed then.
    KeyboardInterrupt
        Says how many pairs were written; they stay.
    """
    from ..batch.batch import iterate_batch
    from ..batch.pair_table import read_pairs
    from ..io.files import atomic_path
    from .resume import FinishedPairs

    rows = read_pairs(table, [SUMMARY])
    context = click.get_current_context(silent=True)
    every = [{k: image_file(context, file) for k, file in row.files.items()} for row in rows]
    kept = FinishedPairs(Path(output).expanduser(), rows, every, arguments, again=overwrite)
    pairs = [pair for row, pair in zip(rows, every, strict=True) if row.name not in kept.facts]
    if processes is None:
        processes = _process_count(pairs, arguments.get("threads"))
    results = iterate_batch(pairs, errors="return", processes=processes, **arguments)
    waiting = [row for row in rows if row.name not in kept.facts]
    reports = {name: PairReport(**facts) for name, facts in kept.facts.items()}
    with _folder(output, waiting, overwrite) as folder, closing(results):
        # reserved before the work: a folder that cannot be written to is found before it
        ours = overwrite or _is_summary(folder / SUMMARY)
        with atomic_path(folder / SUMMARY, overwrite=ours) as file:
            try:
                for row, result in zip(waiting, results, strict=True):
                    reports[row.name] = _report_of(row, result, kept, overwrite, failed)
                    finished(reports[row.name])
            except KeyboardInterrupt:
                written = sum(not report.error for report in reports.values())
                raise KeyboardInterrupt(
                    f"{written} of {len(rows)} pairs were written, no summary; the same command goes on"
                ) from None
            _write_summary(file, [reports[row.name] for row in rows])
    return [reports[row.name] for row in rows]


def _process_count(pairs: list[dict[str, Any]], threads: int | None) -> int | None:
    """A process for every thread if there are many slices, as far as the sizes of their files tell."""
    from ..batch.process_count import LEAST_FOR_PROCESSES, processes_expected
    from ..stages.arguments import thread_count

    count = min(thread_count(threads), len(pairs))
    if count <= 1 or len(pairs) < LEAST_FOR_PROCESSES or not processes_expected():
        return None
    files = (pair[key] for pair in pairs for key in ("moving", "fixed"))
    return count if all(os.stat(file).st_size < SMALL_FILE for file in files) else None


@contextlib.contextmanager
def _folder(output: str, rows: list[TableRow], overwrite: bool) -> Iterator[Path]:
    """The folder of all results, in which nothing is in the way; removed if it stays empty."""
    from ..io.files import free_folder

    folder = Path(output).expanduser()
    existed = os.path.lexists(folder)
    if not existed:
        folder = free_folder(folder)
        folder.mkdir()
    elif not folder.is_dir():
        raise FileError(f"--output {output!r} is a file; with --pairs give a folder.")
    try:
        for row in rows:
            free_folder(folder / row.name, overwrite=overwrite)
        yield folder
    finally:
        if not existed:
            with contextlib.suppress(OSError):  # it holds results
                folder.rmdir()


def _report_of(
    row: TableRow, result: Result | Exception, kept: FinishedPairs, overwrite: bool,
    failed: Callable[[str, Exception], str],
) -> PairReport:  # fmt: skip
    """Report of a pair whose result has been written, or that has none."""
    report = PairReport(row.name, row.cells["moving"], row.cells["fixed"])
    try:
        if isinstance(result, Exception):
            raise result
        report = _filled(report, result)
        asked = with_command(result, typed(click.get_current_context()))
        kept.save(row.name, asked, dataclasses.asdict(report), overwrite)
    except Exception as error:
        bare = PairReport(row.name, row.cells["moving"], row.cells["fixed"])
        return dataclasses.replace(bare, error=failed(row.name, error))
    return report


def _filled(report: PairReport, result: Result) -> PairReport:
    return dataclasses.replace(
        report,
        seconds=round(result.seconds, 3),
        similarity_before=float(result.start_energy.similarity),
        similarity_after=float(result.energy.similarity),
        energy=float(result.energy.total),
        smallest_determinant=float(result.smallest_determinant),
        warnings=len(result.warnings),
        warning_text=" ".join(map(str, result.warnings)),
        stop="" if result.stop is None else result.stop.value,
    )


def _is_summary(path: Path) -> bool:
    """Whether a file is a summary of ours, which the next replaces."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return next(csv.reader(stream), []) == _columns()
    except (OSError, ValueError):
        return False


def _columns() -> list[str]:
    return [field.name for field in dataclasses.fields(PairReport)]


def _write_summary(file: Path, reports: list[PairReport]) -> None:
    with open(file, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(_columns())
        writer.writerows(dataclasses.astuple(report) for report in reports)


def report_pairs(reports: list[PairReport], output: str, as_json: bool) -> None:
    """Print how many pairs were registered on stdout, or the summary as JSON.

    Parameters
    ----------
    reports : list of PairReport
    output : str
        The folder of the summary.
    as_json : bool

    Examples
    --------
    >>> from varreg.cli.table import PairReport, report_pairs
    >>> report_pairs([PairReport("a", "t2.nii", "t1.nii", error="`moving` is constant.")], "out", False)
    Checks: 0 of 0 answers have warnings.
    0 of 1 pairs were registered; out/summary.csv says how each ended.
    """
    from ..io.records import plain

    if as_json:
        click.echo(json.dumps(plain(reports), indent=2))
        return
    written = sum(not report.error for report in reports)
    warned = sum(bool(report.warnings) for report in reports)
    click.echo(
        f"Checks: {warned} of {written} answers have warnings.\n{written} of {len(reports)} pairs were registered; {Path(output, SUMMARY)} says how each "
        "ended."
    )


def echo_pair(report: PairReport) -> None:
    """Print one finished pair on stderr, for logs where no progress bar is shown.

    Parameters
    ----------
    report : PairReport

    Examples
    --------
    >>> from varreg.cli.table import PairReport, echo_pair
    >>> echo_pair(PairReport("a", "a-t2.nii", "a-t1.nii", 0.2, 0.5, 0.75, -0.75, 0.4, 0))
    """
    if report.error:
        return  # which has been reported
    warned = f", {report.warnings} warnings: {report.warning_text}" if report.warnings else ""
    click.echo(
        f"{report.name}: similarity {report.similarity_before:.4f} -> "
        f"{report.similarity_after:.4f}, energy {report.energy:.4f}, smallest determinant "
        f"{report.smallest_determinant:.3f}, {report.seconds:.2f} s{warned}",
        err=True,
    )
