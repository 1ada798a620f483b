"""Pictures of the tables, and the paper's Figures 8 and 9."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import shared  # noqa: F401
from numpy.typing import NDArray
from writing import Table


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def draw_table(table: Table, file: Path) -> None:
    """MI beside the paper's, and TRE: one line per row."""
    pyplot = _pyplot()
    rows = [r for r in table["rows"] if "figures" in r]
    places = np.arange(len(rows))[::-1]
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(9, 1 + 0.35 * len(rows)), sharey=True, layout="constrained"
    )
    for values, label, colour in (("ours", "here", "C0"), ("paper", "paper, other data", "C1")):
        known = [_mi(r, values) for r in rows]
        drawn = [(p, v) for p, v in zip(places, known, strict=True) if v is not None]
        if drawn:
            at, (mean, deviation) = [p for p, _ in drawn], zip(*(v for _, v in drawn), strict=True)
            left.errorbar(mean, at, xerr=deviation, fmt="o", capsize=2, label=label, color=colour)
    for r in rows:
        if r["name"] == "true map":
            left.axvline(r["figures"]["mi"][0], color="0.5", lw=0.8, ls="--", label="true map")
    error = np.array([r["figures"]["tre"] for r in rows])
    right.errorbar(error[:, 0], places, xerr=error[:, 1], fmt="o", capsize=2, color="C0")
    left.set_yticks(places, [r["name"] for r in rows], fontsize=8)
    left.set_xlabel("MI (nats)")
    right.set_xlabel("TRE (voxels)")
    left.legend(fontsize=7)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def draw_boxes(values: dict[str, list[float]], title: str, label: str, file: Path) -> None:
    """Box plot with means as red diamonds, as the paper's Figure 9.

    Parameters
    ----------
    values : dict
        Method -> figure of each pair.
    title, label : str
    file : Path
    """
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(figsize=(4, 4), layout="constrained")
    diamonds = {"marker": "D", "markerfacecolor": "red", "markeredgecolor": "red"}
    axes.boxplot(list(values.values()), showmeans=True, meanprops=diamonds)
    axes.set_xticks(range(1, len(values) + 1), list(values))
    axes.set_title(title, fontsize=9)
    axes.set_ylabel(label)
    axes.grid(axis="y", alpha=0.3)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def draw_fields(fields: list[tuple[str, NDArray[Any]]], file: Path) -> None:
    """Displacements as grids and in colours, as the paper's Figure 8.

    Parameters
    ----------
    fields : list of (name, (2, *S) array)
        In voxels; red is along the columns, green along the rows.
    file : Path
    """
    pyplot = _pyplot()
    figure, grid = pyplot.subplots(
        2, len(fields), figsize=(2.6 * len(fields), 5.2), squeeze=False, layout="constrained"
    )
    for column, (name, field) in enumerate(fields):
        rows, columns = np.indices(field.shape[1:]) + field
        top, bottom = grid[:, column]
        step = max(field.shape[1] // 28, 1)
        for line in range(0, field.shape[1], step):
            top.plot(columns[line], rows[line], color="k", lw=0.4)
        for line in range(0, field.shape[2], step):
            top.plot(columns[:, line], rows[:, line], color="k", lw=0.4)
        top.invert_yaxis()
        top.set_aspect("equal")
        top.set_title(name, fontsize=8)
        strength = np.abs(field) / max(float(np.abs(field).max()), 1e-6)
        bottom.imshow(np.stack([strength[1], strength[0], np.zeros_like(strength[0])], -1))
        for axes in (top, bottom):
            axes.set_xticks([])
            axes.set_yticks([])
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def _mi(found: dict[str, Any], which: str) -> Any:
    return found["figures"]["mi"] if which == "ours" else found["paper"].get("mi")
