"""Checkpoints of a training run: all that is needed to go on as if it had never stopped.

One safetensors file holds the tensors of the model, of Adam and of the generators; everything else
(step counts, learning rates, the configuration) is JSON in its metadata, floats in hexadecimal so
that they come back bit by bit.  A file appears whole or not at all, and is believed only after
everything in it has been compared with the objects that it is for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from varreg.errors import FileError, InputError
from varreg.io.atomic import atomic_path

from .checkpoint_checks import (
    Misfit,
    check_architecture,
    check_generators,
    check_model,
    check_moments,
    check_state,
)
from .checkpoint_values import decoded, encoded
from .config import Config, from_json, to_json
from .position import Position
from .tensor_file import read_tensors, state_of, to_bytes
from .training_state import PARTS, Training, described, put

logger = logging.getLogger(__name__)

FORMAT, VERSION = "learned checkpoint", 1


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A file that has been read and found whole; no object has been touched.

    Attributes
    ----------
    path : Path
    config : Config
    position : Position
    tensors : dict of str to Tensor
    content : dict
        The description beside the tensors.
    """

    path: Path
    config: Config
    position: Position
    tensors: dict[str, Tensor]
    content: dict[str, Any]

    @property
    def weights(self) -> dict[str, Tensor]:
        """Those of the model, for :func:`learned.weights.load_weights`."""
        return _taken_apart(self.tensors, self.content)[0]

    def restore(self, training: Training, config: Config | None = None) -> None:
        """Put the state into the objects, after all of it has been checked.

        Parameters
        ----------
        training : Training
            Objects built as those that were saved; changed in place.
        config : Config or None
            Of the run that goes on; its ``model`` section must be that of the file.

        Raises
        ------
        FileError
            If the file is of another architecture, optimiser, scheduler or set of generators, or
            holds what does not fit; nothing has changed then.
        """
        function = "learned.Checkpoint.restore"
        _check_kind(training, Training, "training", function)
        wanted = described(training, function)
        try:
            if config is not None:
                check_architecture(self.config, config)
            model, state = _taken_apart(self.tensors, self.content)
            check_model(model, training.model)
            check_state(state, wanted)
            check_moments(state["optimiser"], dict(training.model.named_parameters()))
            check_generators(state, training)
        except Exception as error:  # a file may be wrong in ways nobody has thought of
            reason = str(error) if isinstance(error, Misfit) else f"{type(error).__name__}: {error}"
            raise FileError(f"{function}: {str(self.path)!r} does not fit: {reason}.") from error
        self._warn(state)
        put(model, state, training)

    def _warn(self, state: Mapping[str, Any]) -> None:
        """Say what keeps the training from going on bit by bit."""
        if self.content["torch"] != str(torch.__version__):
            logger.warning(
                "learned: %s was written with torch %s and this is %s; last bits may differ.",
                self.path, self.content["torch"], torch.__version__,
            )  # fmt: skip
        if len(state["global"]["cuda"]) not in (0, torch.cuda.device_count()):
            logger.warning(
                "learned: %s is of a machine with another number of GPUs; dropout will differ.",
                self.path,
            )


def save_checkpoint(
    path: str | os.PathLike[str], training: Training, config: Config, position: Position
) -> None:
    """Write a checkpoint, in place of the one of that name.

    Parameters
    ----------
    path : str or PathLike
        Its folder must exist.
    training : Training
    config : Config
    position : Position

    Raises
    ------
    InputError
        If the state cannot be written, or is not finite: a training that diverged does not
        replace one that had not.
    FileError
        If the file cannot be written; what was there is untouched, also if the process is killed.

    Examples
    --------
    >>> import tempfile
    >>> model = torch.nn.Linear(2, 1)
    >>> training = Training(model, torch.optim.Adam(model.parameters()))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder) / "c.safetensors", training, Config(), Position("affine"))
    ...     read_checkpoint(Path(folder) / "c.safetensors").position.stage
    'affine'
    """
    write_whole(path, serialised(training, config, position))


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint; :meth:`Checkpoint.restore` puts it into objects.

    Raises
    ------
    FileError
        If it is absent, truncated, damaged, or of another format; the message says what is wrong.
    """
    function = "learned.read_checkpoint"
    tensors, content = read_tensors(path, FORMAT, VERSION, function)
    try:
        position = Position(**decoded(content["position"], {}))
        config = from_json(content["config"])
        if not isinstance(content["torch"], str):
            raise TypeError("`torch` is no text")
    except Exception as error:
        raise FileError(
            f"{function}: {os.fspath(path)!r} is damaged ({type(error).__name__}: {error})."
        ) from error
    return Checkpoint(Path(os.fsdecode(path)), config, position, tensors, content)


def serialised(training: Training, config: Config, position: Position) -> bytes:
    """The whole file."""
    function = "learned.save_checkpoint"
    _check_kind(training, Training, "training", function)
    _check_kind(config, Config, "config", function)
    _check_kind(position, Position, "position", function)
    tensors = {f"model/{k}": v for k, v in state_of(training.model, function).items()}
    state = described(training, function)
    content = {
        "torch": str(torch.__version__),
        "config": to_json(config),
        "position": encoded(vars(position), "position", tensors),
        **{name: encoded(value, name, tensors) for name, value in state.items()},
    }
    return to_bytes(tensors, FORMAT, VERSION, content, function)


def write_whole(path: str | os.PathLike[str], data: bytes) -> None:
    """Replace a file; a process that is killed meanwhile leaves the old one."""
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_bytes(data)


def _taken_apart(
    tensors: Mapping[str, Tensor], content: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of the model, and of everything else as :func:`described` gives it."""
    prefix = "model/"
    model = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    others = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    state = {name: decoded(content[name], others) for name in PARTS}
    for name in others:
        raise Misfit(f"the tensor {name!r} belongs to nothing")
    return model, state


def _check_kind(value: Any, kind: type, name: str, function: str) -> None:
    if not isinstance(value, kind):
        raise InputError(
            f"{function}: `{name}` must be a {kind.__name__}; got {type(value).__name__}."
        )
