"""Point files: tables, and the markups of 3D Slicer, converted to world RAS+ mm."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import FileError, InputError
from .files import read_json
from .point_tables import read_table

#: Slicer's names of coordinate systems; files before version 4.11 use numbers.
_LPS = {"LPS": True, "RAS": False, "1": True, "0": False}
_LARGEST = 2**26  # bytes


@dataclass(frozen=True, eq=False)
class PointList:
    """Points in one image.

    Attributes
    ----------
    positions : (n, d) array
        World RAS+ mm.
    names : tuple of str
        "" for unnamed points.
    weights : (n,) array or None
    """

    positions: NDArray[np.float64]
    names: tuple[str, ...]
    weights: NDArray[np.float64] | None = None


def read_points(path: str | os.PathLike[str], dim: int, function: str) -> PointList:
    """Read points from a file.

    Parameters
    ----------
    path : str or PathLike
        ``.csv`` or ``.tsv``: columns x, y, z (or the first ones), world RAS+ mm; optional columns for names (``name``
        or ``label``) and weights (``weight``).  ``.fcsv`` and ``.mrk.json`` of 3D Slicer, whose files state whether they
        are LPS or RAS.
    dim : int
        Dimension of the images.
    function : str
        Name for the messages.

    Raises
    ------
    FileError
        If it cannot be read, or does not state its coordinate system.
    """
    name = os.fsdecode(path)
    try:
        if name.lower().endswith(".fcsv"):
            found = _fcsv(name)
        elif name.lower().endswith(".json"):
            found = _markups(name)
        else:
            return _table(name, dim, function)
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise FileError(
            f"{function}: {name!r} holds no points that can be read ({error}); give .csv, .fcsv or .mrk.json."
        ) from error
    if dim != 3:
        raise InputError(
            f"{function}: {name!r} holds points in space, but the images are {dim}D; give a .csv."
        )
    return found


def _table(name: str, dim: int, function: str) -> PointList:
    rows, _, points = read_table(name, dim, function)
    header = [cell.strip().lower() for cell in rows[0]] if len(rows) > len(points) else []
    body = rows[len(rows) - len(points) :]
    column = next((header.index(word) for word in ("name", "label") if word in header), None)
    names = tuple("" if column is None else row[column].strip() for row in body)
    if "weight" not in header:
        return PointList(points, names)
    try:
        weights = np.array([float(row[header.index("weight")]) for row in body])
    except (IndexError, ValueError) as error:
        raise FileError(
            f"{function}: the column `weight` of {name!r} holds something else than numbers."
        ) from error
    return PointList(points, names, weights)


def _fcsv(name: str) -> PointList:
    """Read Slicer's .fcsv; comment lines (#) state the coordinate system and the columns."""
    lines = _text(name).splitlines()
    metadata = {
        key.strip("# \t"): value.strip()
        for key, _, value in (line.partition("=") for line in lines if line.startswith("#"))
    }
    columns = [
        column.strip()
        for column in metadata.get("columns", "id,x,y,z,ow,ox,oy,oz,vis,sel,lock,label").split(",")
    ]
    rows = list(csv.reader(line for line in lines if line.strip() and not line.startswith("#")))
    positions = [[float(row[columns.index(axis)]) for axis in "xyz"] for row in rows]
    label = columns.index("label") if "label" in columns else None
    names = tuple(row[label] if label is not None and label < len(row) else "" for row in rows)
    return PointList(_ras(positions, metadata["CoordinateSystem"]), names)


def _markups(name: str) -> PointList:
    """Read all markups of the file, concatenated."""
    positions: list[Any] = []
    names: list[str] = []
    for markup in read_json(Path(name))["markups"]:
        points = [
            p for p in markup["controlPoints"] if p.get("positionStatus", "defined") == "defined"
        ]
        positions += _ras([p["position"] for p in points], str(markup["coordinateSystem"])).tolist()
        names += [str(p.get("label", "")) for p in points]
    return PointList(np.array(positions, np.float64).reshape(-1, 3), tuple(names))


def _ras(positions: list[Any], system: str) -> NDArray[np.float64]:
    if system not in _LPS:
        raise ValueError(f"its coordinate system is {system!r}, not LPS or RAS")
    points = np.array(positions, dtype=np.float64).reshape(-1, 3)
    if not np.isfinite(points).all():
        raise ValueError("a coordinate is no finite number")
    return points * (-1.0, -1.0, 1.0) if _LPS[system] else points


def _text(name: str) -> str:
    file = Path(name).expanduser()
    if file.stat().st_size > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return file.read_text(encoding="utf-8-sig")
