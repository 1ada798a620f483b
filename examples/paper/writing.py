"""Tables as JSON values, and as Markdown."""

from __future__ import annotations

from statistics import median
from typing import Any

import shared  # noqa: F401
from evaluation import mean_and_deviation
from intervals import Interval, difference
from tables import markdown

Table = dict[str, Any]
Row = dict[str, Any]
#: Figures of every pair that are summarised by mean and standard deviation.
SPREAD = ("tre", "mi", "ncc")
HEADER = (
    "TRE", "MI", "paper's MI", "NCC", "folds (%)", "min. det J", "CPU (s)", "paper's", "GPU (s)", "paper's",
)  # fmt: skip
NONE = "-"


def row(
    name: str, record: dict[str, Any], paper: dict[str, Any] | None = None, **extra: Any
) -> Row:
    """A row of a table.

    Parameters
    ----------
    name : str
    record : dict
        Record of :class:`trainings.Study`.
    paper : dict, optional
        "mi", "gpu" and "cpu" of the paper.
    **extra
        Further columns as strings, before the figures.

    Returns
    -------
    dict
        "name", "extra", "paper", "parameters", and "figures": "tre" (voxels), "mi" (nats) and "ncc" as
        mean and standard deviation, "folds" (mean %), "determinant" (minimum over all pairs), "cpu" and "gpu"
        (median seconds per slice) or None; "of_pairs": the figures of every pair; or "error".
    """
    found: Row = {"name": name, "extra": extra, "paper": paper or {}}
    if "error" in record:
        return {**found, "error": record["error"]}
    pairs = record["pairs"]
    figures: dict[str, Any] = {key: mean_and_deviation(p[key] for p in pairs) for key in SPREAD}
    figures["folds"] = mean_and_deviation(p["folds"] for p in pairs)[0]
    figures["determinant"] = min(p["determinant"] for p in pairs)
    for device in ("cpu", "gpu"):
        seconds = [p[device] for p in pairs if device in p]
        figures[device] = median(seconds) if seconds else None
    of_pairs = {key: [p[key] for p in pairs] for key in (*SPREAD, "cpu") if key in pairs[0]}
    more = {"parameters": record["parameters"], "key": record["key"], "of_pairs": of_pairs}
    return {**found, "figures": figures, **more}


def claim(text: str, paper: str, measured: str, holds: bool | None) -> dict[str, Any]:
    """Claim of the paper, and whether it holds here; None if the test pairs do not decide it."""
    return {"claim": text, "paper": paper, "measured": measured, "holds": holds}


def by_name(rows: list[Row]) -> dict[str, Row]:
    """Rows with figures, by name."""
    return {r["name"]: r for r in rows if "figures" in r}


def gain(after: Row, before: Row, key: str) -> Interval:
    """Mean difference of a figure over the test pairs, with its interval."""
    return difference(after["of_pairs"][key], before["of_pairs"][key])


def mean_of(found: Row, key: str) -> float:
    """Figure of a row; the mean, if it is summarised by mean and standard deviation."""
    value = found["figures"][key]
    return float(value[0] if isinstance(value, list) else value)


def page(table: Table) -> str:
    """Table as Markdown, from the content of its JSON file."""
    parts = [
        f"## {table['title']}",
        *(block for block in (row_table(table), *map(_further, table.get("further", ()))) if block),
        *(f"{r['name']}: not measured. {r['error']}" for r in table["rows"] if "error" in r),
        _claims(table["claims"]),
        *table.get("remarks", ()),
        conditions(table),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def row_table(table: Table) -> str:
    """Rows with our figures and those of the paper."""
    shown = [r for r in table["rows"] if "figures" in r]
    if not shown:
        return ""
    names = list(dict.fromkeys(name for r in shown for name in r["extra"]))
    return markdown(
        (table["rows_are"], *names, *HEADER),
        [[r["name"], *(str(r["extra"].get(n, "")) for n in names), *_cells(r)] for r in shown],
    )


def spread(values: Any, digits: int = 3) -> str:
    """Mean and standard deviation as text."""
    return NONE if values is None else f"{values[0]:.{digits}f} ± {values[1]:.{digits}f}"


def number(value: float | None, digits: int = 4) -> str:
    """A number as text, or a dash."""
    return NONE if value is None else f"{value:.{digits}f}"


def conditions(table: Table) -> str:
    """Machine, data and settings of the measurement."""
    machine = table["machine"]
    measured = f"{machine['cpu']}, {table['threads']} threads, {machine['date']}, varreg {machine['varreg']}."
    if "data" not in table:
        return f"{table['says']}. {measured}"
    data = table["data"]
    shape = " x ".join(map(str, data["shape"]))
    changed = f"; changed: {', '.join(table['changes'])}" if table["changes"] else ""
    return (
        f"{table['says']}{changed}. {data['pairs']} test pairs of {shape} voxels of {data['spacing']:g} mm from "
        f"{data['source']}, of {len(data['subjects'])} subjects not used for training. "
        f"{measured}"
    )


def _cells(found: Row) -> list[str]:
    figures, paper = found["figures"], found["paper"]
    return [
        spread(figures["tre"], 2), spread(figures["mi"]), spread(paper.get("mi")),
        spread(figures["ncc"]), number(figures["folds"], 2), number(figures["determinant"], 2),
        number(figures["cpu"]), number(paper.get("cpu")),
        number(figures["gpu"]), number(paper.get("gpu")),
    ]  # fmt: skip


def _further(block: dict[str, Any]) -> str:
    """Further table."""
    return f"{block['title']}\n\n{markdown(block['header'], block['rows'])}"


def _claims(claims: list[dict[str, Any]]) -> str:
    says = {True: "yes", False: "**no**", None: "open"}
    rows = [[c["claim"], c["paper"], c["measured"], says[c["holds"]]] for c in claims]
    return markdown(("claim of the paper", "paper", "here", "reproduced"), rows) if rows else ""
