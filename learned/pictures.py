"""Pictures of registered pairs: a row each of images, checkerboards and the deformed grid."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from varreg.io.atomic import atomic_path
from varreg.report.plots.panels import checkerboard

from .validation import Registered, change, known_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLES = ("Fixed", "Moving", "Moving, registered", "Fixed / moving", "Fixed / registered", "Grid")
LINES = 24  # of the grid along the longer side
GAP = 0.04  # between pictures, as a share of their width
WIDTH, TOP = 12.0, 0.55  # of the figure, and of its titles, inches
INK, COLOUR = "#222222", "#1f5fa8"
Float = NDArray[np.floating]


def draw_pairs(
    registered: Sequence[Registered], title: str, path: str | Path | None = None
) -> Figure:
    """Draw registered pairs, one row each; of volumes the middle plane of the last axis.

    Parameters
    ----------
    registered : sequence of Registered
        At least one, all of one size.
    title : str
    path : path, optional
        Where to write the figure, in place of what is there; its extension chooses the format.

    Returns
    -------
    matplotlib.figure.Figure
        Not known to pyplot.

    Raises
    ------
    varreg.errors.FileError
        If the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [_tiles(one) for one in registered]
    height, width = (n * (1 + GAP) for n in rows[0][0].shape)
    inches = WIDTH / (len(TITLES) * width) * height * len(rows)
    figure = Figure(figsize=(WIDTH, inches + TOP), facecolor="white")
    FigureCanvasAgg(figure)
    # one pair of axes for all pictures: two dozen would take seconds to draw
    axes = figure.add_axes((0.0, 0.0, 1.0, inches / (inches + TOP)))
    axes.set_axis_off()
    for row, (one, tiles) in enumerate(zip(registered, rows, strict=True)):
        for column, tile in enumerate(tiles):
            _draw_tile(axes, tile, row * height, column * width)
        _draw_grid(axes, _plane(list(one.maps.values())[-1]), row * height, len(tiles) * width)
        axes.text(0.02 * width, row * height, _words(one), color="white", fontsize=7, va="top")
    axes.set_xlim(-0.5, len(TITLES) * width - 0.5)
    axes.set_ylim(len(rows) * height - 0.5, -0.5)
    for column, words in enumerate(TITLES):
        axes.text(column * width, -0.04 * height, words, fontsize=9, color=INK, va="bottom")
    figure.text(0.005, 1 - 0.1 / (inches + TOP), title, fontsize=10, color=INK, va="top")
    if path is not None:
        with atomic_path(path, overwrite=True) as temporary:
            figure.savefig(temporary, dpi=80, format=Path(path).suffix[1:].lower())
    return figure


def _tiles(one: Registered) -> tuple[Float, ...]:
    """The pictures of a row, (n, m) each, without the grid."""
    images = (one.pair.fixed, one.pair.moving, one.warped)
    fixed, moving, warped = (_plane(image)[0] for image in images)
    return fixed, moving, warped, checkerboard(fixed, moving), checkerboard(fixed, warped)


def _draw_tile(axes: Any, tile: Float, top: float, left: float) -> None:
    n, m = tile.shape
    extent = (left - 0.5, left + m - 0.5, top + n - 0.5, top - 0.5)
    axes.imshow(tile, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)


def _draw_grid(axes: Any, displacement: Float, top: float, left: float) -> None:
    """Where the lines of a regular grid on the fixed image go, as far as they stay in view."""
    from matplotlib.collections import LineCollection

    shape = displacement.shape[1:]
    position = np.indices(shape) + displacement[:2]
    limits = np.array(shape).reshape(2, 1, 1) - 0.5
    position = np.where((position > -0.5) & (position < limits), position, np.nan)
    points = np.stack([position[1] + left, position[0] + top], axis=-1)
    step = max(1, round(max(shape) / LINES))
    lines = [*points[::step], *points[:, ::step].swapaxes(0, 1)]
    axes.add_collection(LineCollection(lines, colors=COLOUR, linewidths=0.6))


def _words(one: Registered) -> str:
    """Subject, and error or overlap before and after."""
    maps = list(one.maps.values())
    table = {str(k): known_figures(one.pair, maps[k][None]) for k in (0, -1)}
    return f"{one.pair.subject}: {change(table)}".removesuffix(": ")


def _plane(values: Tensor) -> Float:
    """(C, *S) as (C, rows, columns)."""
    array = values.numpy()
    return array if array.ndim == 3 else array[..., array.shape[-1] // 2]
