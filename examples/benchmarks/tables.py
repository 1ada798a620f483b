"""Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up as plain text too; all but the first are set flush right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    rule = [f":{'-' * (w - 1)}" if k == 0 else f"{'-' * (w - 1)}:" for k, w in enumerate(widths)]
    return "\n".join(_line(cells, widths) for cells in (header, rule, *rows))


def accuracy_table(rows: list[dict[str, Any]], reference: str) -> str:
    """Rows of :mod:`runs`; ratios are against the row `reference` of the same run."""
    header = ("method", "TRE", "p95", "worst", "folds (%)", "s", "TRE ratio", "s ratio")
    base = next((row for row in rows if row["method"] == reference and "error" not in row), None)
    failed = [row for row in rows if "error" in row]
    table = markdown(header, [_cells(row, base) for row in rows if "error" not in row])
    return "\n".join([table, *(f"\n{row['method']}: {row['error']}" for row in failed)])


def _cells(row: dict[str, Any], base: dict[str, Any] | None) -> list[str]:
    numbers = [f"{row[key]:.3f}" for key in ("tre", "p95", "worst", "folds", "seconds")]
    ratios = [f"{row[key] / base[key]:.2f}" if base else "" for key in ("tre", "seconds")]
    return [row["method"], *numbers, *ratios]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *others])} |"
