"""One page for a cohort: every registration with its picture and its checks, in the given order."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .rendering import rendered

#: Total size of the pictures in the page, in characters; those of further rows are linked.
LARGEST = 4_000_000
#: Columns of the table: key, heading, format.
COLUMNS = (
    ("similarity_before", "Similarity before", "{:.3f}"),
    ("similarity_after", "after", "{:.3f}"),
    ("degrees", "Rotation (degrees)", "{:.1f}"),
    ("shift", "Shift (mm)", "{:.1f}"),
    ("scale", "Scale", "{:.3f}"),
    ("moved", "Deformation (mm)", "{:.2f}"),
    ("smallest_determinant", "Smallest det J", "{:.2f}"),
)


def cohort_page(rows: Sequence[Any], folder: Path) -> str:
    """The page as text.

    Parameters
    ----------
    rows : sequence of varreg.cohort.group.Row
        In the order of display.
    folder : Path
        Base folder of the relative paths of pictures.
    """
    registered = [row for row in rows if not row.error]
    return rendered(
        "cohort.html.j2",
        rows=rows,
        pictures=pictures(rows, folder),
        columns=COLUMNS,
        counts={
            "people": len({row.participant for row in rows}),
            "registrations": len(registered),
            "failed": len(rows) - len(registered),
            "warned": sum(bool(row.warnings) for row in rows),
            "outliers": sum(bool(row.outlier_in) for row in rows),
        },
    )


def pictures(rows: Sequence[Any], folder: Path, most: int = LARGEST) -> dict[str, str]:
    """Path -> data URI of the pictures of the first rows, up to the size limit."""
    found, room = dict[str, str](), most
    for row in rows:
        file = folder / row.picture
        if not row.picture or not file.is_file():
            continue
        uri = "data:image/webp;base64," + base64.b64encode(file.read_bytes()).decode("ascii")
        room -= len(uri)
        if room < 0:
            break
        found[row.picture] = uri
    return found
