"""Reports of a running training: tables, pictures, TensorBoard and a progress bar.

A picture has a row for each registered pair: images, checkerboards and the deformed grid.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from varreg.io.atomic import atomic_path
from varreg.report.plots.panels import checkerboard

from .checkpoint import Position
from .run_folder import METRICS, STEPS, RunFolder
from .validation import Registered, Table, change, known_figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger(__name__)
TITLES = ("Fixed", "Moving", "Moving, registered", "Fixed / moving", "Fixed / registered", "Grid")
LINES = 24  # of the grid along the longer axis
GAP = 0.04  # between images, relative to their width
WIDTH, TOP = 12.0, 0.55  # width of the figure and height of its titles, inches
INK, COLOUR = "#222222", "#1f5fa8"
Float = NDArray[np.floating]


class Reports:
    """Reports of a training; only the first process writes them.

    Parameters
    ----------
    folder : RunFolder
        Folder of the run.
    position : Position
        Position at which the run resumes; entries of later steps are removed.
    steps : int
        Number of steps of the whole training.
    speaks : bool
        Whether this process writes reports.
    progress, tensorboard
        As for :func:`learned.train.train`.
    """

    def __init__(
        self,
        folder: RunFolder,
        position: Position,
        steps: int,
        *,
        speaks: bool,
        progress: bool | None,
        tensorboard: bool,
    ) -> None:
        self.folder, self.speaks = folder, speaks
        self._started, self._before = time.monotonic(), 0.0
        if not speaks:
            return
        folder.take_back(position.step)
        lines = folder.metrics()
        self._before = float(lines[-1].get("hours", 0.0)) if lines else 0.0
        self._board = _board(folder.path / "tensorboard", position.step) if tensorboard else None
        self._bar = tqdm(
            total=steps,
            initial=position.step,
            unit="step",
            disable=None if progress is None else not progress,
        )

    @property
    def hours(self) -> float:
        """Duration of the run in hours; time after the last validation before an interruption is not included."""
        return self._before + (time.monotonic() - self._started) / 3600

    def step(self, position: Position, values: dict[str, float]) -> None:
        """Report a step: the loss, its terms and further values."""
        if not self.speaks:
            return
        place = {"stage": position.stage, "epoch": position.epoch, "step": position.step}
        self.folder.append(STEPS, {**place, **values})
        if self._board is not None:
            _scalars(self._board, values, "training", position.step)
        self._bar.set_description(f"{position.stage} {position.epoch + 1}", refresh=False)
        self._bar.set_postfix(loss=f"{values['total']:.3f}", refresh=False)
        self._bar.update()

    def validation(
        self, position: Position, table: Table, is_best: bool, registered: list[Registered]
    ) -> None:
        """Report a validation, with a picture."""
        if not self.speaks:
            return
        self.entry("validation", position, table, best=is_best)
        last = table[list(table)[-1]]
        words = (
            f"{position.stage}, epoch {position.epoch}: {change(table)}, folds {last['folds']:.2%}"
        )
        logger.info("%s%s", words, " (best)" if is_best else "")
        name = f"{position.stage}-{position.epoch:04d}.png"
        figure = draw_pairs(registered, words, self.folder.pictures / name)
        if self._board is not None:
            _scalars(self._board, dict(table), "validation", position.step)
            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]  # type: ignore[attr-defined]
            self._board.add_image("pairs", pixels, position.step, dataformats="HWC")

    def entry(self, part: str, position: Position, table: Table, **more: Any) -> None:
        """Append a line to the table of metrics."""
        if self.speaks:
            place = {"stage": position.stage, "epoch": position.epoch, "step": position.step}
            self.folder.append(
                METRICS, {"part": part, **place, "figures": table, **more, "hours": self.hours}
            )

    def best(self) -> dict[str, Any] | None:
        """Line of the best validation so far."""
        lines = [line for line in self.folder.metrics() if line.get("best")]
        return lines[-1] if lines else None

    def close(self) -> None:
        """Close the progress bar and flush the logs."""
        if self.speaks:
            self._bar.close()
            if self._board is not None:
                self._board.close()


def _board(path: Path, step: int) -> Any:
    """Writer of TensorBoard logs, which drops entries after a step; None if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.warning(
            "learned.train: TensorBoard is not installed; only the tables are written, no TensorBoard logs. "
            "To install: pip install tensorboard"
        )
        return None
    return SummaryWriter(str(path), purge_step=step + 1)


def _scalars(board: Any, entry: dict[str, Any], prefix: str, step: int) -> None:
    """Log all numbers of nested dictionaries."""
    for key, value in entry.items():
        if isinstance(value, dict):
            _scalars(board, value, f"{prefix}/{key}", step)
        elif isinstance(value, float):
            board.add_scalar(f"{prefix}/{key}", value, step)


def draw_pairs(
    registered: Sequence[Registered], title: str, path: str | Path | None = None
) -> Figure:
    """Draw registered pairs of equal size, one row each; for volumes the middle slice of the last axis.

    The figure is independent of pyplot. If `path` is given, it is written there, replacing an existing file,
    in the format of the extension.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [_tiles(one) for one in registered]
    height, width = (n * (1 + GAP) for n in rows[0][0].shape)
    inches = WIDTH / (len(TITLES) * width) * height * len(rows)
    figure = Figure(figsize=(WIDTH, inches + TOP), facecolor="white")
    FigureCanvasAgg(figure)
    # one Axes for all images, because drawing two dozen takes seconds
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
    """Images of a row, (n, m) each, without the grid."""
    images = (one.pair.fixed, one.pair.moving, one.warped)
    fixed, moving, warped = (_plane(image)[0] for image in images)
    return fixed, moving, warped, checkerboard(fixed, moving), checkerboard(fixed, warped)


def _draw_tile(axes: Any, tile: Float, top: float, left: float) -> None:
    n, m = tile.shape
    extent = (left - 0.5, left + m - 0.5, top + n - 0.5, top - 0.5)
    axes.imshow(tile, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent)


def _draw_grid(axes: Any, displacement: Float, top: float, left: float) -> None:
    """Draw the deformed lines of a regular grid on the fixed image, as far as they are in view."""
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
    """Subject, and error or overlap before and after registration."""
    maps = list(one.maps.values())
    table = {str(k): known_figures(one.pair, maps[k][None]) for k in (0, -1)}
    return f"{one.pair.subject}: {change(table)}".removesuffix(": ")


def _plane(values: Tensor) -> Float:
    """Slice (C, rows, columns) of (C, *S)."""
    array = values.numpy()
    return array if array.ndim == 3 else array[..., array.shape[-1] // 2]
