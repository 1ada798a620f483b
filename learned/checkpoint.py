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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from varreg.errors import FileError, InputError

from .config import Config, changed_keys, from_json, to_json
from .tensor_file import mismatch, read_tensors, state_of, to_bytes, under

logger = logging.getLogger(__name__)

FORMAT, VERSION = "learned checkpoint", 2
#: What Adam keeps for each parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
MEAN = "mean/"  # of the state: running means of weights


@dataclass(frozen=True, eq=False)
class Training:
    """The objects whose tensors make up a training.

    Attributes
    ----------
    model : torch.nn.Module
    optimiser : torch.optim.Adam
        Of parameters of the model.
    state : dict of str to Tensor
        What else changes from step to step, always in place.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    state: Mapping[str, Tensor] = field(default_factory=dict)

    def tensors(self, function: str) -> dict[str, Tensor]:
        """All of them, by name."""
        moments = {
            f"optimiser/{name}/{key}": self.optimiser.state[parameter][key]
            for name, parameter in self.trained().items()
            if parameter in self.optimiser.state
            for key in MOMENTS
        }
        model = {f"model/{k}": v for k, v in state_of(self.model, function).items()}
        return {**model, **moments, **{f"state/{k}": v for k, v in self.state.items()}}

    def average(self, decay: float) -> None:
        """One step of the running means that the state has."""
        if decay:
            trained = self.trained()
            means, parameters = [self.state[MEAN + n] for n in trained], list(trained.values())
            get_ema_multi_avg_fn(decay)(means, parameters, None)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Within the block the model has the running means, if there are any, for its weights."""
        pairs = [
            (p, self.state[MEAN + n]) for n, p in self.trained().items() if MEAN + n in self.state
        ]
        self._exchange(pairs)
        try:
            yield
        finally:
            self._exchange(pairs)

    @staticmethod
    @torch.no_grad()
    def _exchange(pairs: list[tuple[nn.Parameter, Tensor]]) -> None:
        for parameter, mean in pairs:
            before = parameter.clone()
            parameter.copy_(mean)
            mean.copy_(before)

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters of the optimiser, by their names in the model."""
        ours = {id(p) for group in self.optimiser.param_groups for p in group["params"]}
        return {n: p for n, p in self.model.named_parameters() if id(p) in ours}


def means_of(model: nn.Module, decay: float) -> dict[str, Tensor]:
    """Running means of what a model trains, before the first step; none without a decay.

    Examples
    --------
    >>> sorted(means_of(nn.Linear(2, 1), 0.9)), means_of(nn.Linear(2, 1), 0)
    (['mean/bias', 'mean/weight'], {})
    """
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad and decay]
    return {MEAN + name: parameter.detach().clone() for name, parameter in trained}


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

    `torch` is the version that wrote it.
    """

    path: Path
    config: Config
    position: Position
    tensors: dict[str, Tensor]
    torch: str

    @property
    def weights(self) -> dict[str, Tensor]:
        """Those of the model, or their running means, for :func:`learned.weights.load_weights`."""
        return under("model/", self.tensors) | under(f"state/{MEAN}", self.tensors)

    def restore(self, training: Training, config: Config | None = None) -> None:
        """Put the tensors into the objects, after all of them have been checked.

        The objects are built as those that were saved; of another architecture (also of the `config` of the
        run that goes on), stage or optimiser the file is refused (FileError), and nothing has changed.
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
        training.model.load_state_dict(under("model/", self.tensors))
        for name, tensor in training.state.items():
            tensor.copy_(self.tensors[f"state/{name}"])
        for name, parameter in training.trained().items():
            moments = under(f"optimiser/{name}/", self.tensors)
            if moments:
                training.optimiser.state[parameter] = {
                    k: v.clone() if k == "step" else _laid_out(v, parameter)
                    for k, v in moments.items()
                }

    def _misfit(self, training: Training) -> str:
        wanted = {f"model/{k}": v for k, v in training.model.state_dict().items()}
        wanted |= {f"state/{k}": v for k, v in training.state.items()}
        for name, parameter in training.trained().items():
            if under(f"optimiser/{name}/", self.tensors):
                like = dict(zip(MOMENTS, (torch.tensor(0.0), parameter, parameter), strict=True))
                wanted |= {f"optimiser/{name}/{key}": tensor for key, tensor in like.items()}
        return mismatch(self.tensors, wanted)


def serialised(training: Training, config: Config, position: Position) -> bytes:
    """A checkpoint as bytes; what is not finite is an InputError, so that no diverged state replaces another."""
    function = "learned.save_checkpoint"
    content = {
        "torch": str(torch.__version__),
        "config": to_json(config),
        "position": dataclasses.asdict(position),
    }
    return to_bytes(training.tensors(function), FORMAT, VERSION, content, function)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and check a checkpoint; what is absent, truncated, damaged or of another format is a FileError."""
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
