"""Group level: one row per registration of a cohort, outliers first, as a page and a table."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.atomic import atomic_paths
from ..jobs.record import stored_record
from .dataset import Session
from .wanted import RECORD

PAGE, TABLE = "group.html", "group.tsv"
#: Measures used for outliers: the suspicious side of each, and the smallest spread that is
#: used, so that maps that agree up to rounding have no outliers.
FIGURES = {
    "similarity_after": (-1, 0.01),
    "smallest_determinant": (-1, 0.05),
    "overlap": (-1, 0.01),
    "degrees": (1, 0.5),
    "shift": (1, 0.5),
    "scale": (1, 0.01),
    "moved": (1, 0.1),
}
#: Fewest registrations for a meaningful median.
FEWEST = 5
#: Standard deviation of a normal distribution, in median absolute deviations.
_NORMAL = 1.4826
#: Deviation from the median, in robust standard deviations, from which a registration is an outlier.
LIMIT = 3.5


@dataclass
class Row:
    """One registration, or one session without any.

    Attributes
    ----------
    participant, session : str
    image, source, target : str
        File name, and the labels of both sides; empty without a registration.
    figures : dict
        Values of the registration.
    warnings, notes : tuple of str
    failed_checks : tuple of str
    error : str
        Reason if there is no registration.
    exit_code : int
    picture : str
        Relative to the folder of the derivatives; may be empty.
    seconds : float or None
    outlier : float
        Largest deviation from the median of the others, in robust standard deviations.
    outlier_in : str
        Measure with this deviation.
    """

    participant: str
    session: str
    image: str = ""
    source: str = ""
    target: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    failed_checks: tuple[str, ...] = ()
    error: str = ""
    exit_code: int = 0
    picture: str = ""
    seconds: float | None = None
    outlier: float = 0.0
    outlier_in: str = ""

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key: failures, warnings, outliers."""
        return not self.error, -len(self.failed_checks), -round(self.outlier, 6), self.participant

    def cells(self) -> dict[str, Any]:
        """The columns of the table; "n/a" for missing values, as in BIDS."""
        columns = {
            "participant_id": f"sub-{self.participant}",
            "session_id": f"ses-{self.session}" if self.session else "n/a",
            "image": self.image,
            "from": self.source,
            "to": self.target,
            "failed_checks": ",".join(self.failed_checks),
            **{name: self.figures.get(name) for name in ("similarity_before", *FIGURES)},
            "outlier": round(self.outlier, 2),
            "outlier_in": self.outlier_in,
            "seconds": self.seconds,
            "exit_code": self.exit_code,
            "error": self.error,
            "warnings": " ".join(self.warnings),
            "notes": " ".join(self.notes),
        }
        return {key: "n/a" if value in ("", None) else value for key, value in columns.items()}


def write_group(
    output: Path, dataset: Path, participants: Sequence[str] = (), sessions: Sequence[str] = ()
) -> list[Row]:
    """Write ``group.html`` and ``group.tsv`` from the records of all sessions.

    Parameters
    ----------
    output, dataset : Path
        Folders of the derivatives and of the images; participants without a record are listed as absent.
    participants, sessions : sequence of str
        Labels; all if empty.

    Returns
    -------
    list of Row
        Failures first, then by the number of failed checks, then outliers.

    Raises
    ------
    InputError
        If there are no records.
    """
    from ..report.cohort_page import cohort_page

    people = _labels(participants, "sub-")
    rows = read_rows(output, people, _labels(sessions, "ses-"))
    if not rows:
        raise InputError(
            f"varreg.bids: there is no record of the requested sessions in {str(output)!r}; run the level participant first."
        )
    there = {row.participant for row in rows}
    rows += [
        Row(person, "", error="Nothing was done yet: run the level participant.", exit_code=1)
        for person in sorted(_people(dataset) - there)
        if not people or person in people
    ]
    judge(rows)
    rows.sort(key=lambda row: row.order)
    with atomic_paths([output / PAGE, output / TABLE], overwrite=True) as (page, table):
        page.write_text(cohort_page(rows, output), "utf-8")
        with open(table, "w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(
                stream, list(rows[0].cells()), delimiter="\t", lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(_in_a_line(row.cells()) for row in rows)
    return rows


def read_rows(output: Path, people: frozenset[str], sessions: frozenset[str]) -> list[Row]:
    """Rows of all records in a folder of derivatives; all if none are chosen."""
    rows = list[Row]()
    for record in sorted(_records(output)):
        parts = record.parent.relative_to(output).parts
        session = Session(
            parts[0].removeprefix("sub-"), "".join(parts[1:]).removeprefix("ses-"), ()
        )
        if (not people or session.participant in people) and (
            not sessions or session.label in sessions
        ):
            rows += _rows(session, record)
    return rows


def judge(rows: Iterable[Row]) -> None:
    """Set the deviation of each row from others of the same kind, in robust standard deviations.

    Examples
    --------
    >>> rows = [Row(str(k), "", "", "T2w", "T1w", {"degrees": k % 3}) for k in range(9)]
    >>> rows.append(Row("x", "", "", "T2w", "T1w", {"degrees": 40.0}))
    >>> judge(rows)
    >>> rows[-1].outlier_in, rows[-1].outlier > LIMIT, rows[0].outlier_in
    ('degrees', True, '')
    """
    kinds = dict[tuple[str, str], list[Row]]()
    for row in rows:
        if not row.error:
            kinds.setdefault((row.source, row.target), []).append(row)
    for same in kinds.values():
        for name, (side, least) in FIGURES.items():
            values = np.array([row.figures.get(name, np.nan) for row in same], dtype=float)
            for row, distance in zip(same, _distances(side * values, least), strict=True):
                if distance > row.outlier:
                    row.outlier = float(distance)
                    row.outlier_in = name if distance > LIMIT else ""


def _distances(values: np.ndarray, least: float) -> np.ndarray:
    """Deviations to the suspicious side, in robust standard deviations of at least `least`; 0 if undefined."""
    known = values[np.isfinite(values)]
    if len(known) < FEWEST:
        return np.zeros(len(values))
    middle = np.median(known)
    spread = _NORMAL * np.median(np.abs(known - middle))
    return np.nan_to_num(np.maximum(values - middle, 0) / max(float(spread), least))


def _records(output: Path) -> list[Path]:
    return [*output.glob(f"sub-*/{RECORD}"), *output.glob(f"sub-*/ses-*/{RECORD}")]


def _rows(session: Session, record: Path) -> list[Row]:
    """The rows of a session: one per registration, or one with the reason why there are none."""
    stored = stored_record(record)
    if stored is None:  # interrupted between its files and its record
        stored = {"error": "It was interrupted; run the level participant again.", "exit_code": 1}
    if stored.get("state") != "finished":
        error, code = str(stored.get("error", "")), int(stored.get("exit_code", 1))
        return [
            Row(session.participant, session.label, error=error or "It failed.", exit_code=code)
        ]
    facts = stored["facts"]
    return [
        Row(
            session.participant,
            session.label,
            found["image"],
            found["from"],
            found["to"],
            {name: found[name] for name in ("similarity_before", *FIGURES)},
            tuple(found["warnings"]),
            (*facts["notes"], *found["notes"]),
            tuple(found["failed_checks"]),
            picture=(session.folder / found["figure"]).as_posix(),
            seconds=round(found["seconds"], 2),
        )
        for found in facts["registrations"]
    ]


def _people(dataset: Path) -> set[str]:
    return {entry.name[4:] for entry in dataset.glob("sub-*") if entry.is_dir()}


def _labels(given: Sequence[str], prefix: str) -> frozenset[str]:
    return frozenset(label.removeprefix(prefix) for label in given)


def _in_a_line(cells: dict[str, Any]) -> dict[str, Any]:
    return {
        key: " ".join(value.split()) if isinstance(value, str) else value
        for key, value in cells.items()
    }
