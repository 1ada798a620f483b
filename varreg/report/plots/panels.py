"""The panels of the overview figure, one function each; all draw on the given axes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...optimise.history import descents
from .planes import Plane

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ...optimise.history import Iteration
    from ...results.result import Result

Float = NDArray[np.floating]

TILES = 8  # of a checkerboard, along the longer side
GRID_LINES = 26  # number, along the longer side
OUTLINE_LEVEL = 0.35
INK, PALE = "#222222", "#777777"
STAGE_COLOURS = {"affine": "#b06a00", "deformable": "#1f5fa8"}


def checkerboard(first: Float, second: Float, tiles: int = TILES) -> Float:
    """Checkerboard of two pictures.

    Parameters
    ----------
    first, second : (n, m) array
        Pictures on a common grey scale.
    tiles : int
        Number of tiles along the longer side.

    Returns
    -------
    (n, m) array

    Examples
    --------
    >>> import numpy as np
    >>> from varreg.report.plots.panels import checkerboard
    >>> checkerboard(np.zeros((2, 2)), np.ones((2, 2)), tiles=2).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    side = max(first.shape) / tiles
    row, column = (np.arange(n) // side for n in first.shape)
    return np.where((row[:, None] + column[None, :]) % 2 == 0, first, second)


def intensity_window(image: Float) -> tuple[float, float]:
    """Intensities shown black and white: the 0.5 percentile of all, the 99.5 percentile of the brighter voxels."""
    low = float(np.percentile(image, 0.5))
    bright = image[image > low]
    return low, float(np.percentile(bright, 99.5)) if bright.size else low + 1.0


def grey(image: Float) -> Float:
    """Scaled to [0, 1] by :func:`intensity_window`."""
    low, high = intensity_window(image)
    return np.clip((image - low) / max(high - low, 1e-12), 0, 1)


def draw_picture(axes: Axes, picture: Float, plane: Plane, title: str) -> None:
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect=plane.aspect, interpolation="nearest")
    _frame(axes, title)


def draw_outline(axes: Axes, picture: Float, colour: str, width: float) -> None:
    """Contour of a picture in [0, 1] at medium intensity: ventricles, cortex, skin."""
    from scipy.ndimage import gaussian_filter

    smooth = gaussian_filter(np.asarray(picture, dtype=np.float64), max(picture.shape) / 250)
    if smooth.min() < OUTLINE_LEVEL < smooth.max():
        axes.contour(smooth, levels=[OUTLINE_LEVEL], colors=colour, linewidths=width)


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=11, color=INK, pad=5)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def draw_grid(axes: Axes, plane: Plane, result: Result) -> None:
    """Lines of constant moving coordinate, i.e. the deformed grid of the moving image."""
    draw_picture(axes, 0.75 * plane.cut(grey(np.asarray(result.warped.data))), plane, "")
    shape = result.displacement.shape[1:]
    step = max(2.0, max(shape[axis] for axis in plane.in_plane) / GRID_LINES)
    for axis in plane.in_plane:
        index = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(len(shape))])
        coordinate = plane.cut(result.displacement[axis] + index)
        lines = np.arange(-shape[axis], 2 * shape[axis], step)
        inside = lines[(lines > coordinate.min()) & (lines < coordinate.max())]
        axes.contour(
            coordinate,
            levels=inside,
            colors="#ffd24a",
            linestyles="solid",
            linewidths=0.7,
            alpha=0.9,
        )
    _frame(axes, "A grid drawn on the moving image, after")


def draw_determinant(axes: Axes, plane: Plane, result: Result, outline: Float) -> None:
    """Local volume change: 1 for none; folds at or below 0."""
    # Of the deformation only: a uniform scaling by the affine part would hide it.
    determinant = np.asarray(result.jacobian()) / np.linalg.det(result.affine[:-1, :-1])
    spread = float(np.percentile(np.abs(determinant - 1), 99.5))
    spread = min(max(np.ceil(spread * 10) / 10, 0.1), 1.0)
    picture = plane.cut(determinant)
    image = axes.imshow(
        picture,
        cmap="PuOr",
        vmin=1 - spread,
        vmax=1 + spread,
        aspect=plane.aspect,
        interpolation="nearest",
    )
    folded = np.ma.masked_where(picture > 0, np.ones_like(picture))
    axes.imshow(folded, cmap="autumn", vmin=1, vmax=2, aspect=plane.aspect)
    draw_outline(axes, outline, "#444444", 0.5)
    _frame(axes, "Volume change det J (red: folded)")
    inset = axes.inset_axes((0.1, -0.05, 0.8, 0.025))
    bar = axes.figure.colorbar(image, cax=inset, orientation="horizontal", extend="both")
    bar.set_ticks([1 - spread, 1 - spread / 2, 1, 1 + spread / 2, 1 + spread])
    bar.ax.tick_params(labelsize=8, length=2, color=PALE, labelcolor=INK)
    bar.outline.set_visible(False)


def draw_energy(axes: Axes, history: tuple[Iteration, ...]) -> None:
    """Energy after every accepted step; one band per level, one colour per stage.

    Levels use different images, so that only differences within a level are meaningful.
    """
    if not history:
        axes.text(0.5, 0.5, "no energy was minimised", ha="center", color=PALE)
    start = 0
    for band, steps in enumerate(descents(history)):
        start = _draw_level(axes, band, start, steps)
    axes.set_xlim(-0.5, max(start - 0.5, 0.5))
    axes.margins(y=0.12)
    _finish_energy(
        axes, [stage for stage in STAGE_COLOURS if any(s.stage == stage for s in history)]
    )


def _draw_level(axes: Axes, band: int, start: int, steps: list[Iteration]) -> int:
    """Draw the energies of one level starting at step `start`; returns the next step."""
    stage, factor = steps[0].stage, steps[0].factor
    energies = np.array([step.energy for step in steps])
    end = start + len(energies)
    if band % 2:
        axes.axvspan(start - 0.5, end - 0.5, color="#f1f1f1", zorder=0, linewidth=0)
    colour = STAGE_COLOURS.get(stage, INK)
    curve = energies - energies[0]
    axes.plot(range(start, end), curve, color=colour, linewidth=1.8, marker=".", markersize=3)
    axes.text(
        (start + end - 1) / 2, 0.985, f"1/{factor:g}", transform=axes.get_xaxis_transform(),
        ha="center", va="top", fontsize=8, color=colour,
    )  # fmt: skip
    return end


def _finish_energy(axes: Axes, stages: list[str]) -> None:
    """Labels, ticks and legend."""
    axes.set_title("Energy since the start of each level", fontsize=11, color=INK, pad=5)
    axes.set_xlabel("accepted steps", fontsize=9, color=INK, labelpad=2)
    axes.tick_params(labelsize=8, length=2, color=PALE, labelcolor=INK)
    for position, stage in enumerate(stages):
        axes.text(
            0.97,
            0.12 - 0.07 * position,
            stage,
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=10,
            color=STAGE_COLOURS[stage],
        )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(PALE)
