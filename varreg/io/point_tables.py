"""Tables of points: the coordinates are mapped, all other columns are unchanged."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError

_NAMES = (("x", "y", "z"), ("i", "j", "k"))
_LARGEST = 2**28  # bytes


def read_table(
    path: str, dim: int, function: str = "varreg apply"
) -> tuple[list[list[str]], list[int], NDArray[np.float64]]:
    """Read the points of a table.

    Parameters
    ----------
    path : str
        CSV, or TSV by its name; with or without a header.  The coordinates are the columns x, y, z
        (or i, j, k), or the first columns if there are none of these names.
    dim : int
        2 or 3.
    function : str
        Name for the messages.

    Returns
    -------
    rows : list of list of str
        All cells, including the header.
    columns : list of int
        Indices of the coordinate columns.
    points : (n, d) array
        Coordinates of the last n rows.

    Raises
    ------
    FileError
        If the table cannot be read or a coordinate is not a finite number.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "points.csv")
    ...     _ = path.write_text("name,x,y\\ntip,1,2\\n")
    ...     read_table(str(path), 2)[1:]
    ([1, 2], array([[1., 2.]]))
    """
    try:
        file = Path(path).expanduser()
        if file.stat().st_size > _LARGEST:
            raise ValueError(f"it has more than {_LARGEST} bytes")
        with open(file, encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream, delimiter=_delimiter(path)) if row]
    except (OSError, ValueError, csv.Error) as error:
        raise FileError(f"{function}: {path!r} cannot be read ({error}); give a CSV.") from error
    columns, first = _columns(rows, dim)
    points = np.empty((len(rows) - first, dim))
    for number, row in enumerate(rows[first:]):
        try:
            points[number] = [float(row[column]) for column in columns]
        except (IndexError, ValueError):
            points[number] = np.nan
        if not np.isfinite(points[number]).all():
            raise FileError(
                f"{function}: row {number + first + 1} of {path!r} has no {dim} finite coordinates "
                f"in columns {[column + 1 for column in columns]}: {row}."
            )
    return rows, columns, points


def write_table(
    path: Path, rows: Sequence[list[str]], columns: Sequence[int], points: NDArray[np.float64]
) -> None:
    """Write a table with new coordinates.

    Parameters
    ----------
    path : Path
    rows, columns : as returned by `read_table`
    points : (n, d) array
        Coordinates of the last n rows.
    """
    first = len(rows) - len(points)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter=_delimiter(path.name))
        writer.writerows(rows[:first])
        for row, point in zip(rows[first:], points, strict=True):
            cells = list(row)
            for column, value in zip(columns, point, strict=True):
                cells[column] = repr(float(value))
            writer.writerow(cells)


def _delimiter(path: str) -> str:
    return "\t" if path.lower().endswith(".tsv") else ","


def _columns(rows: list[list[str]], dim: int) -> tuple[list[int], int]:
    """Coordinate columns and number of header rows."""
    if not rows:
        return list(range(dim)), 0
    header = [cell.strip().lower() for cell in rows[0]]
    for names in _NAMES:
        if set(names[:dim]) <= set(header):
            return [header.index(name) for name in names[:dim]], 1
    try:
        [float(cell) for cell in rows[0][:dim]]
        return list(range(dim)), 0
    except ValueError:
        return list(range(dim)), 1
