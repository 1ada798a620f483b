"""What a training says of itself while it runs: tables, pictures, TensorBoard, a progress bar."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from .checkpoint import Position
from .pictures import draw_pairs
from .run_folder import METRICS, STEPS, RunFolder
from .validation import Registered, Table, change

logger = logging.getLogger(__name__)


class Reports:
    """Everything but the first process is silent.

    Parameters
    ----------
    folder : RunFolder
    position : Position
        Where the run goes on; what was said of later steps is taken back.
    steps : int
        Of the whole training.
    speaks : bool
        False makes everything here do nothing.
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
        self._board = Board(folder.path / "tensorboard", position.step) if tensorboard else None
        self._bar = tqdm(
            total=steps,
            initial=position.step,
            unit="step",
            disable=None if progress is None else not progress,
        )

    @property
    def hours(self) -> float:
        """That the run has taken; those after its last validation before a pause are lost."""
        return self._before + (time.monotonic() - self._started) / 3600

    def step(self, position: Position, values: dict[str, float]) -> None:
        """One step: the loss, its terms and what else there is to follow."""
        if not self.speaks:
            return
        place = {"stage": position.stage, "epoch": position.epoch, "step": position.step}
        self.folder.append(STEPS, {**place, **values})
        if self._board is not None:
            self._board.scalars(values, "training", position.step)
        self._bar.set_description(f"{position.stage} {position.epoch + 1}", refresh=False)
        self._bar.set_postfix(loss=f"{values['total']:.3f}", refresh=False)
        self._bar.update()

    def validation(
        self, position: Position, table: Table, is_best: bool, registered: list[Registered]
    ) -> None:
        """One validation, with a picture."""
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
            self._board.scalars(dict(table), "validation", position.step)
            self._board.picture(figure, "pairs", position.step)

    def entry(self, part: str, position: Position, table: Table, **more: Any) -> None:
        """A line of the table of metrics."""
        if self.speaks:
            place = {"stage": position.stage, "epoch": position.epoch, "step": position.step}
            self.folder.append(
                METRICS, {"part": part, **place, "figures": table, **more, "hours": self.hours}
            )

    def best(self) -> dict[str, Any] | None:
        """The line of the best validation so far."""
        lines = [line for line in self.folder.metrics() if line.get("best")]
        return lines[-1] if lines else None

    def close(self) -> None:
        """Write what is still in memory."""
        if self.speaks:
            self._bar.close()
            if self._board is not None:
                self._board.close()


class Board:
    """TensorBoard's log, or nothing where TensorBoard is not installed.

    Parameters
    ----------
    path : Path
        Folder.
    step : int
        Entries after it are taken back.
    """

    def __init__(self, path: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.warning(
                "learned.train: TensorBoard is not installed, so no TensorBoard logs are written; the tables "
                "are. To install: pip install tensorboard"
            )
            self._writer = None
            return
        self._writer = SummaryWriter(str(path), purge_step=step + 1)

    def scalars(self, entry: dict[str, Any], prefix: str, step: int) -> None:
        """Log all numbers of nested dictionaries."""
        if self._writer is None:
            return
        for key, value in entry.items():
            if isinstance(value, dict):
                self.scalars(value, f"{prefix}/{key}", step)
            elif isinstance(value, float):
                self._writer.add_scalar(f"{prefix}/{key}", value, step)

    def picture(self, figure: Any, name: str, step: int) -> None:
        """Log a figure of matplotlib, without pyplot."""
        if self._writer is not None:
            import numpy as np

            figure.canvas.draw()
            pixels = np.asarray(figure.canvas.buffer_rgba())[..., :3]
            self._writer.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory."""
        if self._writer is not None:
            self._writer.close()
