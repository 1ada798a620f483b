"""Checkpoints of a training run, from which it resumes exactly as without an interruption.

One safetensors file contains the tensors of the model, of Adam and of the stage, and in its metadata the
configuration and the position in the training as JSON.  Learning rates and random numbers depend on the
position only.  A file is written completely or not at all, and nothing is restored before its whole content
has been validated against the objects to be restored.
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
#: State of Adam for each parameter.
MOMENTS = ("step", "exp_avg", "exp_avg_sq")
MEAN = "mean/"  # prefix of the running means of the weights in the state


@dataclass(frozen=True, eq=False)
class Training:
    """Objects that hold the state of a training.

    Attributes
    ----------
    model : torch.nn.Module
        Trained network.
    optimiser : torch.optim.Adam
        Optimiser of parameters of the model.
    state : dict of str to Tensor
        Other tensors that change during training, in place.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    state: Mapping[str, Tensor] = field(default_factory=dict)

    def tensors(self, function: str) -> dict[str, Tensor]:
        """All tensors by name."""
        moments = {
            f"optimiser/{name}/{key}": self.optimiser.state[parameter][key]
            for name, parameter in self.trained().items()
            if parameter in self.optimiser.state
            for key in MOMENTS
        }
        model = {f"model/{k}": v for k, v in state_of(self.model, function).items()}
        return {**model, **moments, **{f"state/{k}": v for k, v in self.state.items()}}

    def average(self, decay: float) -> None:
        """Update the running means of the weights in the state."""
        if decay:
            trained = self.trained()
            means, parameters = [self.state[MEAN + n] for n in trained], list(trained.values())
            get_ema_multi_avg_fn(decay)(means, parameters, None)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Context in which the weights of the model are their running means, if there are any."""
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
        """Parameters of the optimiser by their names in the model."""
        ours = {id(p) for group in self.optimiser.param_groups for p in group["params"]}
        return {n: p for n, p in self.model.named_parameters() if id(p) in ours}


def means_of(model: nn.Module, decay: float) -> dict[str, Tensor]:
    """Initial running means of the trained weights of a model; none if the decay is 0.

    Examples
    --------
    >>> sorted(means_of(nn.Linear(2, 1), 0.9)), means_of(nn.Linear(2, 1), 0)
    (['mean/bias', 'mean/weight'], {})
    """
    trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad and decay]
    return {MEAN + name: parameter.detach().clone() for name, parameter in trained}


@dataclass(frozen=True)
class Position:
    """Position in a training.

    Attributes
    ----------
    stage : str
        Name of the stage of the training, e.g. "affine".
    epoch, step : int
        Epoch of the stage, and step of the whole training.
    best : float or None
        Best validation value so far.
    waited : int
        Number of validations since the best one.
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
                "learned.Position: `stage` must be a string, `epoch`, `step` and `waited` whole "
                f"numbers >= 0, and `best` a finite number or None; got {self}."
            )
        if self.best is not None:
            object.__setattr__(self, "best", float(self.best))

    def after_validation(self, value: float) -> tuple[Position, bool]:
        """Position after a validation, and whether its value is the best; smaller is better.

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
    """Content of a checkpoint file after validation; `torch` is the version of PyTorch that wrote it."""

    path: Path
    config: Config
    position: Position
    tensors: dict[str, Tensor]
    torch: str

    @property
    def weights(self) -> dict[str, Tensor]:
        """Weights of the model, or their running means, for :func:`learned.weights.load_weights`."""
        return under("model/", self.tensors) | under(f"state/{MEAN}", self.tensors)

    def restore(self, training: Training, config: Config | None = None) -> None:
        """Restore the state of a training, after validation of all tensors.

        The objects must be built as when the checkpoint was saved. If architecture (also that of the `config` of
        the resumed run), stage or optimiser differ, a FileError is raised and nothing is changed.
        """
        keys = [] if config is None else changed_keys(self.config, config)
        other = [key for key in keys if key.startswith("model.")]
        wrong = f"{', '.join(other)} differ" if other else self._misfit(training)
        if wrong:
            raise FileError(
                f"learned.Checkpoint.restore: {str(self.path)!r} cannot be used, its "
                f"architecture or stage is different: {wrong}."
            )
        if self.torch != str(torch.__version__):
            logger.warning(
                "learned: %s was written by PyTorch %s, this is %s; results may differ by rounding.",
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
    """Checkpoint as bytes; values that are not finite raise an InputError, so that no diverged state is saved."""
    function = "learned.save_checkpoint"
    content = {
        "torch": str(torch.__version__),
        "config": to_json(config),
        "position": dataclasses.asdict(position),
    }
    return to_bytes(training.tensors(function), FORMAT, VERSION, content, function)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read and validate a checkpoint; a missing, truncated or damaged file or another format is a FileError."""
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
    """Moment in the memory layout of its parameter, since the layout changes the order of summation."""
    return torch.empty_like(parameter, requires_grad=False).copy_(moment)
