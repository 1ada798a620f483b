"""Plots of the tables, and the paper's Figures 4 to 9."""

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
    """Plot MI with that of the paper, and TRE, one line per row."""
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
    """Box plot with means as red diamonds, like the paper's Figure 9.

    Parameters
    ----------
    values : dict
        Figures of all pairs, by method.
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
    """Displacements as deformed grids and in colours, like the paper's Figure 8.

    Parameters
    ----------
    fields : list of (name, (2, *S) array)
        Displacements in voxels; red: along the columns, green: along the rows.
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


def draw_curves(
    panels: dict[str, dict[str, list[float]]], x_label: str, y_label: str, file: Path
) -> None:
    """Training curves, each with a running mean over a fiftieth of its length.

    Parameters
    ----------
    panels : dict
        Values of each curve, by title of the panel and name of the curve.
    x_label, y_label : str
    file : Path
    """
    pyplot = _pyplot()
    figure, row = pyplot.subplots(
        1, len(panels), figsize=(4.5 * len(panels), 3.4), sharey=True, squeeze=False, layout="constrained"
    )  # fmt: skip
    for axes, (title, curves) in zip(row[0], panels.items(), strict=True):
        for k, (name, values) in enumerate(curves.items()):
            window = max(len(values) // 50, 1)
            smooth = np.convolve(values, np.ones(window) / window, "valid")
            axes.plot(values, color=f"C{k}", alpha=0.2, lw=0.5)
            axes.plot(
                np.arange(len(smooth)) + (window - 1) / 2, smooth, color=f"C{k}", lw=1, label=name
            )
        axes.set_title(title, fontsize=9)
        axes.set_xlabel(x_label)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=7)
    row[0, 0].set_ylabel(y_label)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def draw_images(rows: list[tuple[str, dict[str, NDArray[Any]]]], file: Path) -> None:
    r"""Images side by side, one row per pair, like the paper's Figures 6 and 7.

    Parameters
    ----------
    rows : list of (name, dict)
        For each pair, images (\*S) in [0, 1] by title.
    file : Path
    """
    pyplot = _pyplot()
    columns = list(rows[0][1])
    size = (1.5 * len(columns), 1.75 * len(rows))
    figure, grid = pyplot.subplots(
        len(rows), len(columns), figsize=size, squeeze=False, layout="constrained"
    )
    for axes, title in zip(grid[0], columns, strict=True):
        axes.set_title(title, fontsize=8)
    for line, (name, images) in zip(grid, rows, strict=True):
        for axes, title in zip(line, columns, strict=True):
            axes.imshow(images[title], cmap="gray", vmin=0, vmax=1)
            axes.set_xticks([])
            axes.set_yticks([])
        line[0].set_ylabel(name, fontsize=8)
    figure.savefig(file, dpi=130)
    pyplot.close(figure)


def _mi(found: dict[str, Any], which: str) -> Any:
    return found["figures"]["mi"] if which == "ours" else found["paper"].get("mi")
