"""Checkpoints of a training run: all that is needed to go on as if it had never stopped.

One safetensors file holds the tensors of the model, of Adam and of the stage; the configuration and the
place in the training are JSON in its metadata.  Learning rates and random numbers follow from the place
alone.  A file appears whole or not at all, and is believed only after everything in it has been compared
with the objects that it is for.
"""

from __future__ import annotations

import dataclasses
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from varreg.errors import FileError, InputError

from .config import Config, changed_keys, from_json, to_json
from .tensor_file import mismatch, read_tensors, to_bytes
from .training_state import MEAN, MOMENTS, Training

logger = logging.getLogger(__name__)

FORMAT, VERSION = "learned checkpoint", 2


@dataclass(frozen=True)
class Position:
    """Place in a training.

    Attributes
    ----------
    stage : str
        Name of the stage of the training, e.g. "affine".
    epoch, step : int
        Of the stage, and of the whole training.
    best : float or None
        Best value of the validation so far.
    waited : int
        Validations since then.
    """

    stage: str
    epoch: int = 0
    step: int = 0
    best: float | None = None
    waited: int = 0

    def __post_init__(self) -> None:
        counts = (self.epoch, self.step, self.waited)
        good = isinstance(self.stage, str) and all(
            type(n) is int and 0 <= n < 10**12 for n in counts
        )
        if self.best is not None:
            good = good and isinstance(self.best, Real) and math.isfinite(self.best)
        if not good:
            raise InputError(
                "learned.Position: a stage is text, `epoch`, `step` and `waited` are whole numbers "
                f"from 0, `best` is a finite number or None; got {self}."
            )
        if self.best is not None:
            object.__setattr__(self, "best", float(self.best))

    def after_validation(self, value: float) -> tuple[Position, bool]:
        """The same place after a validation, and whether that was the best; smaller is better.

        Examples
        --------
        >>> Position("affine", best=2.0).after_validation(3.0)
        (Position(stage='affine', epoch=0, step=0, best=2.0, waited=1), False)
        """
        if self.best is None or value < self.best:
            return dataclasses.replace(self, best=value, waited=0), True
        return dataclasses.replace(self, waited=self.waited + 1), False


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A file that has been read and found whole; no object has been touched.

    Attributes
    ----------
    path : Path
    config : Config
    position : Position
    tensors : dict of str to Tensor
    torch : str
        The version that wrote it.
    """

    path: Path
    config: Config
    position: Position
    tensors: dict[str, Tensor]
    torch: str

    @property
    def weights(self) -> dict[str, Tensor]:
        """Those of the model, or their running means, for :func:`learned.weights.load_weights`."""
        return _under("model/", self.tensors) | _under(f"state/{MEAN}", self.tensors)

    def restore(self, training: Training, config: Config | None = None) -> None:
        """Put the tensors into the objects, after all of them have been checked.

        Parameters
        ----------
        training : Training
            Objects built as those that were saved; changed in place.
        config : Config or None
            Of the run that goes on; its ``model`` section must be that of the file.

        Raises
        ------
        FileError
            If the file is of another architecture, stage or optimiser; nothing has changed then.
        """
        keys = [] if config is None else changed_keys(self.config, config)
        other = [key for key in keys if key.startswith("model.")]
        wrong = f"{', '.join(other)} differ" if other else self._misfit(training)
        if wrong:
            raise FileError(
                f"learned.Checkpoint.restore: {str(self.path)!r} does not fit, it is of another "
                f"architecture or stage: {wrong}."
            )
        if self.torch != str(torch.__version__):
            logger.warning(
                "learned: %s was written with torch %s and this is %s; last bits may differ.",
                self.path, self.torch, torch.__version__,
            )  # fmt: skip
        training.model.load_state_dict(_under("model/", self.tensors))
        for name, tensor in training.state.items():
            tensor.copy_(self.tensors[f"state/{name}"])
        for name, parameter in training.trained().items():
            moments = _under(f"optimiser/{name}/", self.tensors)
            if moments:
                training.optimiser.state[parameter] = {
                    k: v.clone() if k == "step" else _laid_out(v, parameter)
                    for k, v in moments.items()
                }

    def _misfit(self, training: Training) -> str:
        wanted = {f"model/{k}": v for k, v in training.model.state_dict().items()}
        wanted |= {f"state/{k}": v for k, v in training.state.items()}
        for name, parameter in training.trained().items():
            if _under(f"optimiser/{name}/", self.tensors):
                like = dict(zip(MOMENTS, (torch.tensor(0.0), parameter, parameter), strict=True))
                wanted |= {f"optimiser/{name}/{key}": tensor for key, tensor in like.items()}
        return mismatch(self.tensors, wanted)


def serialised(training: Training, config: Config, position: Position) -> bytes:
    """A checkpoint as bytes.

    Raises
    ------
    InputError
        If a tensor is not finite: a training that diverged does not replace one that had not.
    """
    function = "learned.save_checkpoint"
    content = {
        "torch": str(torch.__version__),
        "config": to_json(config),
        "position": dataclasses.asdict(position),
    }
    return to_bytes(training.tensors(function), FORMAT, VERSION, content, function)


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
        config, position = from_json(content["config"]), Position(**content["position"])
    except Exception as error:
        raise FileError(
            f"{function}: {os.fspath(path)!r} is damaged ({type(error).__name__}: {error})."
        ) from error
    return Checkpoint(Path(path), config, position, tensors, str(content.get("torch")))


def _laid_out(moment: Tensor, parameter: Tensor) -> Tensor:
    """In the memory layout of the parameter: another is added up by other instructions."""
    return torch.empty_like(parameter, requires_grad=False).copy_(moment)


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors whose names begin with a prefix, named without it."""
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
