"""Figure of the study: error against the values of each factor, as small multiples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from factors import value_label

COLUMNS = 4


def draw(choosing: dict[str, list[list[dict[str, Any]]]], file: Path) -> None:
    """One panel per factor, one line per suite, the default ringed.

    Parameters
    ----------
    choosing : dict
        Factor -> records of each of its values, as ``study.py`` collects them.
    file : Path
        PNG, SVG or PDF.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = min(COLUMNS, len(choosing))
    rows = -(-len(choosing) // columns)
    size = 3.2 * columns, 2.6 * rows
    figure, grid = pyplot.subplots(
        rows, columns, figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axes, (factor, groups) in zip(grid.flat, choosing.items(), strict=False):
        _panel(axes, factor, groups)
    for axes in list(grid.flat)[len(choosing) :]:
        axes.set_axis_off()
    for axes in grid[:, 0]:
        axes.set_ylabel("TRE (voxels)")
    grid[0, 0].legend(fontsize=7)
    figure.savefig(file, dpi=150)
    pyplot.close(figure)


def _panel(axes: Any, factor: str, groups: list[list[dict[str, Any]]]) -> None:
    places = np.arange(len(groups))
    default = next(k for k, records in enumerate(groups) if not records[0]["change"])
    for suite in dict.fromkeys(record["suite"] for record in groups[0]):
        errors = [np.mean([r["tre"] for r in records if r["suite"] == suite]) for records in groups]
        (line,) = axes.plot(places, errors, "o-", markersize=3, label=suite)
        axes.plot(default, errors[default], "o", mfc="none", markersize=9, color=line.get_color())
    axes.set_xticks(places, [value_label(records[0]["change"], factor) for records in groups])
    axes.tick_params(axis="x", labelsize=7, rotation=30)
    axes.set_title(factor, fontsize=9)
    axes.grid(alpha=0.3)
