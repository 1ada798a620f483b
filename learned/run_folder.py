"""The folder of a training run: its configuration, tables, pictures, checkpoints and weights.

=====================  ==========================================================================
``config.json``        what the run was started with
``metrics.jsonl``      a line per validation: error, mutual information and folds of each stage
``training.jsonl``     a line per step: the loss and its terms
``pictures``           registered validation pairs
``tensorboard``        the same figures for TensorBoard
``checkpoints``        the last states, and the best
``model.safetensors``  the best weights, with a card
=====================  ==========================================================================

Tables follow the checkpoint: when a run is resumed, lines of steps after it are taken back.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from varreg.errors import FileError, InputError
from varreg.io.atomic import atomic_path

from .checkpoint import Position, Training, serialised
from .config import Config, changed_keys, from_json, to_json

CONFIG, METRICS, STEPS, MODEL = (
    "config.json", "metrics.jsonl", "training.jsonl", "model.safetensors",
)  # fmt: skip
KEPT = 2  # of the last checkpoints
#: Keys that may change when a run goes on; any other would make it another run.
RESUMABLE = (
    "optimiser.epochs", "optimiser.gradient_clipping", "data.manifest", "data.labels", "data.cache",
    "data.licences", "data.workers", "train.output", "train.affine_from",
    "train.stages_from", "train.threads", "train.devices",
    "train.checkpoint_every", "train.validation_every", "train.patience",
)  # fmt: skip


class RunFolder:
    """See the module.

    Parameters
    ----------
    path : str or PathLike
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(os.fsdecode(path)).expanduser()

    @property
    def pictures(self) -> Path:
        """Folder of the pictures."""
        return self.path / "pictures"

    @property
    def model(self) -> Path:
        """File of the best weights."""
        return self.path / MODEL

    @property
    def last(self) -> Path | None:
        """The checkpoint with the largest step, if there is one."""
        return max(self._numbered(), default=None)

    @property
    def best(self) -> Path | None:
        """The best checkpoint, if there is one."""
        file = self.path / "checkpoints" / "best.safetensors"
        return file if file.is_file() else None

    def save(
        self, training: Training, config: Config, position: Position, *, is_best: bool = False
    ) -> Path:
        """Write a checkpoint named after its step, and remove those no longer kept.

        Parameters
        ----------
        training, config, position
            See :func:`learned.checkpoint.serialised`.
        is_best : bool
            Keep it as the best, too.

        Raises
        ------
        InputError
            If the state is not finite.
        FileError
            If there is a later step, which this run cannot come from, or it cannot be written; what
            was there is untouched, also if the process is killed.
        """
        folder, name = self.path / "checkpoints", f"step-{position.step:012d}.safetensors"
        if self.last is not None and self.last.name > name:
            raise FileError(
                f"learned.train: {str(folder)!r} holds {self.last.name!r}, later than step "
                f"{position.step}; resume from there, or write to another folder."
            )
        data = serialised(training, config, position)
        folder.mkdir(parents=True, exist_ok=True)
        # the best first: killed in between, the run repeats the step that found it
        for file in ["best.safetensors", name] if is_best else [name]:
            with atomic_path(folder / file, overwrite=True) as temporary:
                temporary.write_bytes(data)
        # beside old ones, what writers that were killed have left
        for path in [*self._numbered()[:-KEPT], *folder.glob(".varreg-*.safetensors")]:
            path.unlink(missing_ok=True)
        return folder / name

    def _numbered(self) -> list[Path]:
        return sorted((self.path / "checkpoints").glob("step-" + "[0-9]" * 12 + ".safetensors"))

    def check(self, config: Config, resume: bool) -> None:
        """Raise what :meth:`open` would, before any work; nothing is made."""
        self._refuse_foreign(resume)
        if (self.path / CONFIG).is_file():
            _refuse_changes(self.config(), config, self.path)

    def open(self, config: Config, resume: bool) -> None:
        """Make the folder, or find that the run in it can go on.

        Parameters
        ----------
        config : Config
            Written to the folder.
        resume : bool
            Whether there may be a run already.

        Raises
        ------
        FileError
            If there is something in the folder and `resume` is not set, or it cannot be written.
        InputError
            If the run in it has another configuration.
        """
        self.check(config, resume)
        try:
            self.pictures.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError(
                f"learned.train: the folder {str(self.path)!r} cannot be created ({error}); choose "
                "another --output."
            ) from error
        with atomic_path(self.path / CONFIG, overwrite=True) as temporary:
            temporary.write_text(to_json(config) + "\n", encoding="utf-8")

    def config(self) -> Config:
        """The configuration of the run in the folder; if none can be read, a FileError."""
        file = self.path / CONFIG
        try:
            return from_json(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(
                f"learned.train: {str(file)!r} cannot be read ({error}); there is no run to resume."
            ) from error

    def take_back(self, step: int) -> None:
        """Remove lines of the tables after a step, and what a killed writer left half written."""
        for name in (METRICS, STEPS):
            file = self.path / name
            if not file.is_file():
                continue
            kept = [line for line in read_lines(file) if _is_kept(line, step)]
            with atomic_path(file, overwrite=True) as temporary:
                temporary.write_text("".join(map(_line, kept)), encoding="utf-8")

    def append(self, name: str, entry: dict[str, Any]) -> None:
        """Add a line to a table.

        Parameters
        ----------
        name : {"metrics.jsonl", "training.jsonl"}
        entry : dict
            With the key "step".
        """
        with open(self.path / name, "a", encoding="utf-8") as stream:
            stream.write(_line(entry))

    def metrics(self) -> list[dict[str, Any]]:
        """The validations so far."""
        file = self.path / METRICS
        return read_lines(file) if file.is_file() else []

    def _refuse_foreign(self, resume: bool) -> None:
        """Raise if there is anything that may not be added to."""
        if not os.path.lexists(self.path):
            return
        if not self.path.is_dir():
            raise FileError(
                f"learned.train: {str(self.path)!r} is not a folder; choose another name."
            )
        names = {entry.name for entry in self.path.iterdir()}
        if names and not resume:
            raise FileError(
                f"learned.train: the folder {str(self.path)!r} is not empty; resume the run in it by "
                "--resume, or choose another --output."
            )
        # the pictures' folder is made before anything else
        if names - {self.pictures.name} and CONFIG not in names:
            raise FileError(
                f"learned.train: the folder {str(self.path)!r} holds files but no {CONFIG!r}, so there "
                "is no run to resume; choose another --output."
            )


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of a table; one that was cut off ends it.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "t.jsonl").write_text('{"step": 1}' + chr(10) + '{"st')
    ...     read_lines(Path(folder) / "t.jsonl")
    [{'step': 1}]
    """
    lines = []
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(text)
        except ValueError:
            break
        if not isinstance(entry, dict):
            break
        lines.append(entry)
    return lines


def _line(entry: dict[str, Any]) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"


def _is_kept(line: dict[str, Any], step: int) -> bool:
    """The test comes after everything else and is made again."""
    return type(line.get("step")) is int and line["step"] <= step and line.get("part") != "test"


def _refuse_changes(before: Config, after: Config, path: Path) -> None:
    wrong = [key for key in changed_keys(before, after) if key not in RESUMABLE]
    if wrong:
        raise InputError(
            f"learned.train: the run in {str(path)!r} was started with another `{wrong[0]}`; keep that value, or "
            "choose another --output."
        )
