"""Table of participants: images of one or several contrasts, masks and labels."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path
from typing import Any

from ..errors import FileError, InputError

FUNCTION = "varreg.build_template"
_CONTRAST = re.compile(r"image([2-9]?)$")
OTHERS = ("name", "mask", "labels")


def read_people(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Arguments of :func:`varreg.build_template` from a table.

    Parameters
    ----------
    path : str or PathLike
        Text separated by tabs or commas.  Columns: ``image``, and optionally ``image2`` ... ``image9`` for further contrasts,
        ``name``, ``mask`` and ``labels``; one row per participant.  Paths are relative to its folder; masks may be empty.

    Returns
    -------
    dict
        `images`, `masks`, `labels` and `names`.

    Raises
    ------
    InputError, FileError
        If it is not such a table, or a file does not exist.
    """
    place = Path(os.fsdecode(path)).expanduser()
    try:
        lines = place.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise FileError(
            f"{FUNCTION}: the table {str(place)!r} cannot be read ({error})."
        ) from error
    delimiter = "\t" if lines and "\t" in lines[0] else ","
    rows = list(csv.DictReader(lines, delimiter=delimiter))
    columns = list(map(str, rows[0])) if rows else []
    contrasts = sorted(column for column in columns if _CONTRAST.match(column))
    unknown = [column for column in columns if column not in (*contrasts, *OTHERS)]
    if not rows or "image" not in contrasts or unknown:
        raise InputError(
            f"{FUNCTION}: the table {str(place)!r} must have the column image, may have image2 ... image9, "
            f"{', '.join(OTHERS)}, and a line for each person; got {len(rows)} lines with {columns}."
        )
    found: dict[str, Any] = {
        "images": [[_file(place, n, row, c) for c in contrasts] for n, row in enumerate(rows, 2)],
        "masks": None,
        "labels": None,
        "names": [row["name"] for row in rows] if "name" in columns else None,
    }
    for column, argument in (("mask", "masks"), ("labels", "labels")):
        if column in columns:
            found[argument] = [
                _file(place, n, row, column) if row[column] else None
                for n, row in enumerate(rows, 2)
            ]
    return found


def _file(table: Path, line: int, row: dict[str, Any], column: str) -> Path:
    value = row[column] or ""
    file = table.parent / Path(value).expanduser()
    if not value or not file.exists():
        raise FileError(
            f"{FUNCTION}: line {line} of {str(table)!r} names the {column} {value!r}, which is not a file."
        )
    return file
