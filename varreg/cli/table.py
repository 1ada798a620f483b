"""``varreg register --pairs``: registration of every pair of a table into a separate folder, and a summary."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import FileError
from .exit_codes import typed, with_command
from .image_paths import image_file
from .pair_report import SUMMARY, PairReport
from .spelling import spelled

if TYPE_CHECKING:
    from ..batch.pair_table import TableRow
    from ..results.result import Result
    from .resume import FinishedPairs

#: Image files smaller than this (bytes) are assumed to be slices; a wrong guess costs a few seconds.
SMALL_FILE = 2**19


def register_table(
    table: str,
    output: str,
    overwrite: bool,
    failed: Callable[[str, Exception], str],
    finished: Callable[[PairReport], None],
    processes: int | None = None,
    **arguments: Any,
) -> list[PairReport]:
    """Register the pairs of a table and write each result as soon as it is computed.

    Parameters
    ----------
    table : str
        See :func:`varreg.batch.pair_table.read_pairs`.
    output : str
        Folder for a folder per pair, and ``summary.csv``.
    overwrite : bool
        Replace existing results and summary.  Without it, finished pairs of the same images and
        options are kept, and those of others are refused.
    failed : callable
        Takes the name of a pair and its error; returns the words for the summary.
    finished : callable
        Takes the report of each pair.
    processes : int, optional
        As for :func:`varreg.solve_batch`, but by default the size of files determines which are
        assumed to be slices.
    **arguments
        As for :func:`varreg.solve_batch`.

    Returns
    -------
    list of PairReport
        In the order of the table.

    Raises
    ------
    varreg.errors.VarregError
        If the table, an argument or the output is invalid; raised before any computation.
    KeyboardInterrupt
        With the number of written pairs, which are kept.
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
        # reserved before the computation, to detect an unwritable folder
        ours = overwrite or _is_summary(folder / SUMMARY)
        with atomic_path(folder / SUMMARY, overwrite=ours) as file:
            try:
                for row, result in zip(waiting, results, strict=True):
                    reports[row.name] = _report_of(row, result, kept, overwrite, failed)
                    finished(reports[row.name])
            except KeyboardInterrupt:
                written = sum(not report.error for report in reports.values())
                raise KeyboardInterrupt(
                    f"{written} of {len(rows)} pairs were written, no summary; the same command resumes the run"
                ) from None
            _write_summary(file, [reports[row.name] for row in rows])
    return [reports[row.name] for row in rows]


def _process_count(pairs: list[dict[str, Any]], threads: int | None) -> int | None:
    """One process per thread if there are many slices, judged by the sizes of their files."""
    from ..batch.process_count import LEAST_FOR_PROCESSES, processes_expected
    from ..stages.arguments import thread_count

    count = min(thread_count(threads), len(pairs))
    if count <= 1 or len(pairs) < LEAST_FOR_PROCESSES or not processes_expected():
        return None
    files = (pair[key] for pair in pairs for key in ("moving", "fixed"))
    return count if all(os.stat(file).st_size < SMALL_FILE for file in files) else None


@contextlib.contextmanager
def _folder(output: str, rows: list[TableRow], overwrite: bool) -> Iterator[Path]:
    """The folder of all results, without conflicting files; removed if it remains empty."""
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
            with contextlib.suppress(OSError):  # the folder holds results
                folder.rmdir()


def _report_of(
    row: TableRow, result: Result | Exception, kept: FinishedPairs, overwrite: bool,
    failed: Callable[[str, Exception], str],
) -> PairReport:  # fmt: skip
    """Report of a pair whose result has been written, or which failed."""
    report = PairReport(row.name, row.cells["moving"], row.cells["fixed"])
    try:
        if isinstance(result, Exception):
            raise result
        report = _filled(report, result)
        recorded_result = with_command(result, typed(click.get_current_context()))
        kept.save(row.name, recorded_result, dataclasses.asdict(report), overwrite)
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
        warning_text=spelled(" ".join(map(str, result.warnings))),
        stop="" if result.stop is None else result.stop.value,
    )


def _is_summary(path: Path) -> bool:
    """Whether a file is a summary written by varreg, which may be replaced."""
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
