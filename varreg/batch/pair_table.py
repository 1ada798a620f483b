"""Table of pairs for ``varreg register --pairs``, validated before any computation."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError, InputError
from ..images.itk_reading import holds_dicom
from ..images.opening import SUFFIXES

REQUIRED = ("moving", "fixed")
FILES = (*REQUIRED, "fixed_mask", "moving_mask", "fixed_rigid_mask", "moving_rigid_mask")
COLUMNS = (*FILES, "name")
#: Delimiters; the first one that the header contains is used, as no column name contains one.
DELIMITERS = "\t;,"
_LONGEST_NAME = 200  # bytes; the limit of file systems is 255
_SHOWN = 5  # of many errors of one kind


@dataclass(frozen=True)
class TableRow:
    """One pair of the table.

    Parameters
    ----------
    line : int
        Line number, from 1.
    name : str
        A plain file name, unique in the table, ignoring case.
    cells : dict
        Column -> file as given in the table; empty columns are omitted.
    folder : Path
        Folder of the table, to which the files are relative.
    """

    line: int
    name: str
    cells: dict[str, str]
    folder: Path

    @property
    def files(self) -> dict[str, Path]:
        """Column -> path, for the columns of `FILES` that are not empty."""
        cells = ((key, self.cells[key]) for key in FILES if key in self.cells)
        return {key: self.folder / Path(cell).expanduser() for key, cell in cells}


def read_pairs(path: str | os.PathLike[str], reserved: Sequence[str] = ()) -> list[TableRow]:
    """Read and validate a table of pairs.

    Parameters
    ----------
    path : str or PathLike
        UTF-8 text separated by commas, tabs or semicolons.  A header names the columns ``moving``
        and ``fixed`` and optionally ``name``, ``fixed_mask``, ``moving_mask``, ``fixed_rigid_mask`` and
        ``moving_rigid_mask``.  Paths are relative to the folder of the table.  The default name of a row is its
        number and the moving image.
    reserved : sequence of str
        Names that rows must not have.

    Returns
    -------
    list of TableRow
        At least one; all files exist.

    Raises
    ------
    FileError
        If the table cannot be read or a listed file does not exist.
    InputError
        If its columns, rows or names are invalid.

    Examples
    --------
    >>> read_pairs("absent.csv")
    Traceback (most recent call last):
    varreg.errors.FileError: varreg.read_pairs: the table 'absent.csv' cannot be read (...
    """
    lines = _lines(path)
    header = lines.pop(0)[1] if lines else []
    if header:
        _refuse_columns(path, header)
    if not lines:
        problem = "has a header but no pair" if header else "is empty"
        raise InputError(
            f"varreg.read_pairs: the table {os.fspath(path)!r} {problem}; write a header with the "
            f"columns {', '.join(REQUIRED)} and a line for each pair."
        )
    folder = Path(os.fsdecode(path)).expanduser().parent
    width = len(str(len(lines)))
    rows = []
    for number, (line, values) in enumerate(lines, start=1):
        cells = _cells(path, header, line, values)
        name = cells.get("name", f"{number:0{width}d}-{_stem(cells['moving'])}")
        rows.append(TableRow(line, name, cells, folder))
    _refuse_names(path, rows, [name.casefold() for name in reserved])
    _refuse_absent(path, rows)
    return rows


def _lines(path: str | os.PathLike[str]) -> list[tuple[int, list[str]]]:
    """Number and values of every non-empty line; the header is the first."""
    try:
        with open(Path(os.fsdecode(path)).expanduser(), encoding="utf-8-sig", newline="") as stream:
            header = stream.readline()
            delimiter = next((mark for mark in DELIMITERS if mark in header), ",")
            stream.seek(0)
            reader = csv.reader(stream, delimiter=delimiter, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, ValueError, csv.Error) as error:
        raise FileError(
            f"varreg.read_pairs: the table {os.fspath(path)!r} cannot be read ({error}); check the "
            "path and that it is text in UTF-8, separated by commas or tabs."
        ) from error
    return [(line, row) for line, row in lines if any(row)]


def _refuse_columns(path: str | os.PathLike[str], header: list[str]) -> None:
    unknown = [column for column in header if column not in COLUMNS]
    missing = [column for column in REQUIRED if column not in header]
    twice = sorted({column for column in header if header.count(column) > 1})
    for columns, problem in ((unknown, "unknown"), (missing, "missing"), (twice, "repeated")):
        if columns:
            raise InputError(
                f"varreg.read_pairs: the table {os.fspath(path)!r} has {problem} columns: "
                f"{_listed(columns)}. It needs {_listed(REQUIRED)} and may have "
                f"{_listed([column for column in COLUMNS if column not in REQUIRED])}, no others."
            )


def _cells(
    path: str | os.PathLike[str], header: list[str], line: int, values: list[str]
) -> dict[str, str]:
    """Column -> value of one line, without empty values."""
    where = f"varreg.read_pairs: line {line} of {os.fspath(path)!r}"
    if any(values[len(header) :]):
        raise InputError(
            f"{where} has {len(values)} values and the header {len(header)} columns; put quotes "
            "around a path with the separator in it."
        )
    cells = {key: value for key, value in zip(header, values, strict=False) if value}
    for key in REQUIRED:
        if key not in cells:
            raise InputError(f"{where} has no {key!r} image; every line needs moving and fixed.")
    return cells


def _refuse_names(
    path: str | os.PathLike[str], rows: list[TableRow], reserved: Sequence[str]
) -> None:
    """Refuse names that cannot be separate folders in the folder of the results."""
    seen: dict[str, TableRow] = {}
    for row in rows:
        name = row.name
        plain = name.isprintable() and not set(name) & set("/\\") and name not in (".", "..")
        short = len(os.fsencode(name)) <= _LONGEST_NAME
        if not plain or not short or name.casefold() in reserved:
            raise InputError(
                f"varreg.read_pairs: line {row.line} of {os.fspath(path)!r} has the name {name!r}, "
                "which cannot be that of its folder; give a short one without slashes."
            )
        other = seen.setdefault(name.casefold(), row)
        if other is not row:
            raise InputError(
                f"varreg.read_pairs: lines {other.line} and {row.line} of {os.fspath(path)!r} have "
                f"the names {other.name!r} and {name!r}, which may be one folder; give each line "
                "a name of its own."
            )


def _refuse_absent(path: str | os.PathLike[str], rows: list[TableRow]) -> None:
    absent = [
        f"{key} {row.cells[key]!r} (line {row.line})"
        for row in rows
        for key, file in row.files.items()
        if not (os.path.isfile(file) or (os.path.isdir(file) and holds_dicom(file)))
    ]
    if absent:
        more = f" and {len(absent) - _SHOWN} more" if len(absent) > _SHOWN else ""
        raise FileError(
            f"varreg.read_pairs: the table {os.fspath(path)!r} names files that do not exist: "
            f"{', '.join(absent[:_SHOWN])}{more}. Paths are relative to the folder of the "
            f"table, {str(rows[0].folder.absolute())!r}."
        )


def _stem(file: str) -> str:
    """The file name without folder and image suffix."""
    name = Path(file).name
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _listed(columns: Sequence[str]) -> str:
    return ", ".join(map(repr, columns))
