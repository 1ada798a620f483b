"""Folder of a training run: configuration, tables, pictures, checkpoints and weights.

=====================  ==========================================================================
``config.json``        configuration of the run
``metrics.jsonl``      one line per validation: error, mutual information and folds of each stage
``training.jsonl``     one line per step: the loss and its terms
``pictures``           registered validation pairs
``tensorboard``        the same figures for TensorBoard
``checkpoints``        the last states, and the best
``model.safetensors``  the best weights, with a model card
=====================  ==========================================================================

When a run is resumed from a checkpoint, lines of later steps are removed from the tables.
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
KEPT = 2  # number of last checkpoints that are kept
#: Keys that may change when a run is resumed.
RESUMABLE = (
    "optimiser.epochs", "optimiser.gradient_clipping", "data.manifest", "data.labels", "data.cache",
    "data.licences", "data.workers", "train.output", "train.affine_from",
    "train.stages_from", "train.threads", "train.devices",
    "train.checkpoint_every", "train.validation_every", "train.patience",
)  # fmt: skip


class RunFolder:
    """Folder of a training run, see :mod:`learned.run_folder`.

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
        """Path of the latest checkpoint, if there is one."""
        return max(self._numbered(), default=None)

    @property
    def best(self) -> Path | None:
        """Path of the best checkpoint, if there is one."""
        file = self.path / "checkpoints" / "best.safetensors"
        return file if file.is_file() else None

    def save(
        self, training: Training, config: Config, position: Position, *, is_best: bool = False
    ) -> Path:
        """Write a checkpoint named by its step, and remove old ones.

        Parameters
        ----------
        training, config, position
            See :func:`learned.checkpoint.serialised`.
        is_best : bool
            Whether to save it also as the best.

        Returns
        -------
        Path

        Raises
        ------
        InputError
            If the state is not finite.
        FileError
            If there is a checkpoint of a later step, or the file cannot be written; existing files are
            unchanged, even if the process is killed.
        """
        folder, name = self.path / "checkpoints", f"step-{position.step:012d}.safetensors"
        if self.last is not None and self.last.name > name:
            raise FileError(
                f"learned.train: {str(folder)!r} contains {self.last.name!r}, later than step "
                f"{position.step}; resume from that step, or choose another folder."
            )
        data = serialised(training, config, position)
        folder.mkdir(parents=True, exist_ok=True)
        # the best first: if killed in between, the resumed run repeats this step
        for file in ["best.safetensors", name] if is_best else [name]:
            with atomic_path(folder / file, overwrite=True) as temporary:
                temporary.write_bytes(data)
        # old checkpoints, and temporary files of killed processes
        for path in [*self._numbered()[:-KEPT], *folder.glob(".varreg-*.safetensors")]:
            path.unlink(missing_ok=True)
        return folder / name

    def _numbered(self) -> list[Path]:
        return sorted((self.path / "checkpoints").glob("step-" + "[0-9]" * 12 + ".safetensors"))

    def check(self, config: Config, resume: bool) -> None:
        """Raise the errors of :meth:`open` before any computation, without writing."""
        self._refuse_foreign(resume)
        if (self.path / CONFIG).is_file():
            _refuse_changes(self.config(), config, self.path)

    def open(self, config: Config, resume: bool) -> None:
        """Create the folder, or check that the run in it can be resumed.

        Parameters
        ----------
        config : Config
            Configuration, which is written to the folder.
        resume : bool
            Whether the folder may contain a run.

        Raises
        ------
        FileError
            If the folder is not empty and `resume` is not set, or it cannot be written.
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
        """Configuration of the run in the folder; a FileError if it cannot be read."""
        file = self.path / CONFIG
        try:
            return from_json(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise FileError(
                f"learned.train: {str(file)!r} cannot be read ({error}); there is no run to resume."
            ) from error

    def take_back(self, step: int) -> None:
        """Remove lines after a step from the tables, and incomplete lines of a killed process."""
        for name in (METRICS, STEPS):
            file = self.path / name
            if not file.is_file():
                continue
            kept = [line for line in read_lines(file) if _is_kept(line, step)]
            with atomic_path(file, overwrite=True) as temporary:
                temporary.write_text("".join(map(_line, kept)), encoding="utf-8")

    def append(self, name: str, entry: dict[str, Any]) -> None:
        """Append a line to a table.

        Parameters
        ----------
        name : {"metrics.jsonl", "training.jsonl"}
        entry : dict
            JSON values, with the key "step".
        """
        with open(self.path / name, "a", encoding="utf-8") as stream:
            stream.write(_line(entry))

    def metrics(self) -> list[dict[str, Any]]:
        """Lines of the table of validations."""
        file = self.path / METRICS
        return read_lines(file) if file.is_file() else []

    def _refuse_foreign(self, resume: bool) -> None:
        """Raise a FileError if the path is not a folder, or contains files that are not of a run to resume."""
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
        # the folder of pictures is created before the configuration is written
        if names - {self.pictures.name} and CONFIG not in names:
            raise FileError(
                f"learned.train: the folder {str(self.path)!r} contains files but no {CONFIG!r}, so there "
                "is no run to resume; choose another --output."
            )


def read_lines(file: Path) -> list[dict[str, Any]]:
    """Lines of a table, up to the first incomplete one.

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
    """Whether a line is kept at a step; test lines are not, since the test is repeated at the end."""
    return type(line.get("step")) is int and line["step"] <= step and line.get("part") != "test"


def _refuse_changes(before: Config, after: Config, path: Path) -> None:
    wrong = [key for key in changed_keys(before, after) if key not in RESUMABLE]
    if wrong:
        raise InputError(
            f"learned.train: the run in {str(path)!r} was started with another `{wrong[0]}`; keep its value, or "
            "choose another --output."
        )
