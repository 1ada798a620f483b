"""The checkpoints of one run in its folder: the last few and the best."""

from __future__ import annotations

import os
from pathlib import Path

from varreg.errors import FileError, InputError

from .checkpoint import Checkpoint, read_checkpoint, serialised, write_whole
from .config import Config
from .distributed import Processes
from .position import Position
from .training_state import Training

BEST = "best.safetensors"


class CheckpointFolder:
    """The last checkpoints of one run, and its best.

    Parameters
    ----------
    folder : str or PathLike
        Made if it is not there; one run at a time may write to it.
    keep : int
        How many of the last are kept.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        if isinstance(keep, bool) or not isinstance(keep, int) or keep < 1:
            raise InputError(
                f"learned.CheckpointFolder: `keep` must be a whole number >= 1; got {keep!r}."
            )
        self.folder, self.keep = Path(os.fsdecode(folder)), keep
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"learned.CheckpointFolder: {str(self.folder)!r} cannot be made ({error})."
            ) from error

    @property
    def last(self) -> Path | None:
        """The checkpoint with the largest step, if there is one."""
        return max(self._numbered(), default=None)

    @property
    def best(self) -> Path | None:
        """The best checkpoint, if there is one."""
        return self.folder / BEST if (self.folder / BEST).is_file() else None

    def read_last(self, ours: Processes) -> Checkpoint | None:
        """The last checkpoint that the first process finds, in every process.

        None writes another before all have read it.
        """
        path = ours.first(lambda: self.last)
        checkpoint = None if path is None else read_checkpoint(path)
        ours.gather(None)
        return checkpoint

    def read_best(self, ours: Processes) -> Checkpoint | None:
        """The best checkpoint that the first process finds, in every process."""
        path = ours.first(lambda: self.best)
        return None if path is None else read_checkpoint(path)

    def save(
        self, training: Training, config: Config, position: Position, *, is_best: bool = False
    ) -> Path:
        """Write a checkpoint named after its step, and remove those no longer kept.

        Parameters
        ----------
        training, config, position
            As for :func:`save_checkpoint`.
        is_best : bool
            Keep it as the best, too.

        Returns
        -------
        Path

        Raises
        ------
        InputError
            As :func:`save_checkpoint`.
        FileError
            If the folder holds a later step, which this run cannot come from, or is not writable.
        """
        last = self.last
        if last is not None and last.name > _name(position):
            raise FileError(
                f"learned.CheckpointFolder: {str(self.folder)!r} holds {last.name!r}, later than "
                f"step {position.step}; go on from there, or write to another folder."
            )
        data = serialised(training, config, position)
        if is_best:  # first: killed in between, the run repeats the step that found it
            write_whole(self.folder / BEST, data)
        path = self.folder / _name(position)
        write_whole(path, data)
        self._prune()
        return path

    def _numbered(self) -> list[Path]:
        return sorted(self.folder.glob("step-" + "[0-9]" * 12 + ".safetensors"))

    def _prune(self) -> None:
        """Remove all but the last few, and what writers that were killed have left."""
        leftovers = self.folder.glob(".varreg-*.safetensors")
        for path in [*self._numbered()[: -self.keep], *leftovers]:
            path.unlink(missing_ok=True)


def _name(position: Position) -> str:
    return f"step-{position.step:012d}.safetensors"
