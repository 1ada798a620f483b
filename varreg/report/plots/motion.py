"""The motion figure: translations, rotations and framewise displacement per volume."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .overview import FORMATS
from .panels import INK, PALE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Colours of the axes.
COLOURS = ("#b06a00", "#1f5fa8", "#3c8d40")
LARGE = "#c03028"


def motion_figure(
    parameters: NDArray[np.floating],
    displacement: NDArray[np.floating],
    limit: float,
    title: str = "",
    path: str | os.PathLike[str] | None = None,
    *,
    overwrite: bool = False,
) -> Figure:
    """Draw the motion of an image series.

    Parameters
    ----------
    parameters : (n, 6) array
        Translations (mm), then rotations (radians).
    displacement : (n,) array
        Framewise displacement (mm); NaN for the first volume.
    limit : float
        Framewise displacement from which volumes are marked.
    title : str
    path : path, optional
        Path of the figure; ends in .png, .pdf or .svg.
    overwrite : bool
        Whether to replace an existing file.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from .shown import ShownFigure

    if path is not None and not os.fsdecode(path).lower().endswith(FORMATS):
        raise InputError(
            f"varreg.plots.motion_figure: `path` must end in {', '.join(FORMATS)}; got {str(path)!r}."
        )
    figure = ShownFigure(figsize=(10, 6.5), layout="constrained")
    shifts, turns, jumps = figure.subplots(3, sharex=True)
    volumes = np.arange(len(parameters))
    for axis in range(3):
        shifts.plot(volumes, parameters[:, axis], color=COLOURS[axis], label="xyz"[axis])
        turns.plot(volumes, np.rad2deg(parameters[:, 3 + axis]), color=COLOURS[axis])
    shifts.legend(ncols=3, frameon=False, fontsize=9, loc="upper right")
    jumps.plot(volumes, displacement, color=INK, linewidth=1)
    jumps.axhline(limit, color=PALE, linewidth=0.8, linestyle="--")
    large = np.nan_to_num(displacement) > limit
    jumps.plot(volumes[large], displacement[large], "o", color=LARGE, markersize=4)
    jumps.set_ylim(bottom=0)
    for axes, words in zip(
        (shifts, turns, jumps),
        ("shift, mm", "rotation, degrees", "framewise displacement, mm"),
        strict=True,
    ):
        _plain(axes, words)
    jumps.set_xlabel("volume", color=INK)
    figure.suptitle(title, color=INK)
    if path is not None:
        from ...io.atomic import atomic_path

        with atomic_path(path, overwrite=overwrite) as temporary:
            figure.savefig(temporary, dpi=120)
    return figure


def _plain(axes: Axes, words: str) -> None:
    axes.set_ylabel(words, color=INK, fontsize=9)
    axes.tick_params(labelsize=8, length=2, color=PALE, labelcolor=INK)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
