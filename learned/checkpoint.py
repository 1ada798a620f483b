"""Checkpoints of a training run: all that is needed to go on as if it had never stopped.

One safetensors file holds the tensors of the model, of Adam and of the generators; everything else
(step counts, learning rates, the configuration) is JSON in its metadata, floats in hexadecimal so
that they come back bit by bit.  A file appears whole or not at all, and is believed only after
everything in it has been compared with the objects that it is for.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from varreg.errors import FileError, InputError
from varreg.io.atomic import atomic_path

from .config import Config, changed_keys, from_json, to_json
from .model_file import mismatch, read_tensors, state_of, to_bytes

logger = logging.getLogger(__name__)

FORMAT, VERSION = "learned checkpoint", 1
BEST = "best.safetensors"
PARTS = ("optimiser", "scheduler", "generators", "global")
OPTIMISERS = ("Adam", "AdamW")
#: What these keep for each parameter.
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}
Generator = torch.Generator | np.random.Generator


class Misfit(FileError):
    """What in a checkpoint does not fit; the caller adds which file."""


@dataclass(frozen=True)
class Position:
    """How far a training has come.

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
            good = good and isinstance(self.best, Real) and not math.isnan(self.best)
        if not good:
            raise InputError(
                "learned.Position: a stage is text, `epoch`, `step` and `waited` are whole numbers "
                f"from 0, `best` is a number or None; got {self}."
            )
        if self.best is not None:
            object.__setattr__(self, "best", float(self.best))


@dataclass(frozen=True, eq=False)
class Training:
    """The objects whose state makes up a training; the global generators of torch go with them.

    Attributes
    ----------
    model : torch.nn.Module
    optimiser : torch.optim.Adam or AdamW
        Of parameters of the model.
    scheduler : torch.optim.lr_scheduler.LRScheduler or None
    generators : dict of str to torch.Generator or numpy.random.Generator
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    scheduler: Any = None
    generators: Mapping[str, Generator] = field(default_factory=dict)


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
        wanted = _described(training, function)
        try:
            if config is not None:
                _check_architecture(self.config, config)
            model, state = _taken_apart(self.tensors, self.content)
            _check_model(model, training.model)
            _check_state(state, wanted)
            _check_moments(state["optimiser"], dict(training.model.named_parameters()))
            _check_generators(state, training)
        except Exception as error:  # a file may be wrong in ways nobody has thought of
            reason = str(error) if isinstance(error, Misfit) else f"{type(error).__name__}: {error}"
            raise FileError(f"{function}: {str(self.path)!r} does not fit: {reason}.") from error
        self._warn(state)
        _put(model, state, training)

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
    >>> model = nn.Linear(2, 1)
    >>> training = Training(model, torch.optim.Adam(model.parameters()))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_checkpoint(Path(folder) / "c.safetensors", training, Config(), Position("affine"))
    ...     read_checkpoint(Path(folder) / "c.safetensors").position.stage
    'affine'
    """
    _write(path, _serialised(training, config, position))


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
        position = Position(**_decoded(content["position"], {}))
        config = from_json(content["config"])
        if not isinstance(content["torch"], str):
            raise TypeError("`torch` is no text")
    except Exception as error:
        raise FileError(
            f"{function}: {os.fspath(path)!r} is damaged ({type(error).__name__}: {error})."
        ) from error
    return Checkpoint(Path(os.fsdecode(path)), config, position, tensors, content)


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
        data = _serialised(training, config, position)
        if is_best:  # first: killed in between, the run repeats the step that found it
            _write(self.folder / BEST, data)
        path = self.folder / _name(position)
        _write(path, data)
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


def _serialised(training: Training, config: Config, position: Position) -> bytes:
    """The whole file."""
    function = "learned.save_checkpoint"
    _check_kind(training, Training, "training", function)
    _check_kind(config, Config, "config", function)
    _check_kind(position, Position, "position", function)
    tensors = {f"model/{k}": v for k, v in state_of(training.model, function).items()}
    state = _described(training, function)
    content = {
        "torch": str(torch.__version__),
        "config": to_json(config),
        "position": _encoded(vars(position), "position", tensors),
        **{name: _encoded(value, name, tensors) for name, value in state.items()},
    }
    return to_bytes(tensors, FORMAT, VERSION, content, function)


def _write(path: str | os.PathLike[str], data: bytes) -> None:
    with atomic_path(path, overwrite=True) as temporary:
        temporary.write_bytes(data)


def _described(training: Training, function: str) -> dict[str, Any]:
    """The state of everything but the model, and what is to be recognised when it comes back."""
    optimiser, scheduler = training.optimiser, training.scheduler
    if type(optimiser).__name__ not in OPTIMISERS:
        raise InputError(
            f"{function}: the optimiser must be {' or '.join(OPTIMISERS)}; got "
            f"{type(optimiser).__name__}."
        )
    return {
        "optimiser": {
            "class": type(optimiser).__name__,
            "parameters": _parameter_names(training, function),
            **optimiser.state_dict(),
        },
        "scheduler": None
        if scheduler is None
        else {"class": type(scheduler).__name__, "state": scheduler.state_dict()},
        "generators": {k: _generator_state(g, k) for k, g in training.generators.items()},
        "global": {"cpu": torch.get_rng_state(), "cuda": _cuda_states()},
    }


def _parameter_names(training: Training, function: str) -> list[list[str]]:
    """Names, in the model, of the parameters of each group of the optimiser."""
    names = {id(p): name for name, p in training.model.named_parameters()}
    groups = [[id(p) for p in group["params"]] for group in training.optimiser.param_groups]
    if any(number not in names for group in groups for number in group):
        raise InputError(f"{function}: the optimiser has parameters that are not the model's.")
    return [[names[number] for number in group] for group in groups]


def _generator_state(generator: Generator, name: str) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    raise InputError(
        f"learned.save_checkpoint: the generator {name!r} must be torch's or numpy's; got "
        f"{type(generator).__name__}."
    )


def _cuda_states() -> list[Tensor]:
    """Empty where CUDA has not been used; asking then would start it."""
    return torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []


def _encoded(value: Any, path: str, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON; tensors in it are put aside under their path.

    What is not JSON already becomes a list that starts with its kind.
    """
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return ["float", value.hex()]
    if isinstance(value, Tensor):
        if path in tensors:
            raise InputError(f"learned.save_checkpoint: there are two entries named {path!r}.")
        tensors[path] = value
        return ["tensor", path]
    if type(value) in (list, tuple):
        entries = [_encoded(v, f"{path}/{i}", tensors) for i, v in enumerate(value)]
        return [type(value).__name__, entries]
    if type(value) is dict and all(type(key) in (str, int) for key in value):
        return ["dict", [[k, _encoded(v, f"{path}/{k}", tensors)] for k, v in value.items()]]
    raise InputError(
        f"learned.save_checkpoint: {path} is a {type(value).__name__}, which a checkpoint cannot "
        "hold; it holds numbers, text, tensors, and lists, tuples and dictionaries of them."
    )


def _decoded(value: Any, tensors: dict[str, Tensor]) -> Any:
    """The inverse of :func:`_encoded`; each tensor is taken out once, as a copy."""
    if not isinstance(value, list):
        if isinstance(value, (float, dict)):
            raise Misfit(f"{_shown(value)} stands where a checkpoint has none")
        return value
    kind, content = value
    if kind == "float":
        return float.fromhex(content)
    if kind == "tensor":
        return tensors.pop(content).clone()
    if kind == "dict":
        return {key: _decoded(entry, tensors) for key, entry in content}
    if kind not in ("list", "tuple"):
        raise Misfit(f"{_shown(kind)} is no kind of value")
    entries = [_decoded(entry, tensors) for entry in content]
    return entries if kind == "list" else tuple(entries)


def _taken_apart(
    tensors: Mapping[str, Tensor], content: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state of the model, and of everything else as :func:`_described` gives it."""
    prefix = "model/"
    model = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    others = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    state = {name: _decoded(content[name], others) for name in PARTS}
    for name in others:
        raise Misfit(f"the tensor {name!r} belongs to nothing")
    return model, state


def _check_kind(value: Any, kind: type, name: str, function: str) -> None:
    if not isinstance(value, kind):
        raise InputError(
            f"{function}: `{name}` must be a {kind.__name__}; got {type(value).__name__}."
        )


def _check_architecture(stored: Config, config: Config) -> None:
    keys = [key for key in changed_keys(stored, config) if key.startswith("model.")]
    if keys:
        raise Misfit(f"it is of another architecture ({', '.join(keys)} differ)")


def _check_model(tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    wrong = mismatch(tensors, model.state_dict())
    if wrong:
        raise Misfit(f"it is of another architecture: {wrong}")


def _check_state(stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Everything but the moments, which a new optimiser does not have, and the state of GPUs."""
    for part, left_out in zip(PARTS, ("state", None, None, "cuda"), strict=True):
        one, other = (
            {k: v for k, v in side[part].items() if k != left_out}
            if isinstance(side[part], dict)
            else side[part]
            for side in (stored, wanted)
        )
        _check_alike(one, other, part)


def _check_alike(stored: Any, wanted: Any, path: str) -> None:
    """Numbers may differ, as training changes them, and tensors in their values; nothing else."""
    if type(stored) is not type(wanted) and not (_is_number(stored) and _is_number(wanted)):
        raise Misfit(f"{path} is {_shown(stored)} instead of {_shown(wanted)}")
    if isinstance(wanted, dict):
        if set(stored) != set(wanted):
            different = sorted(map(str, set(stored) ^ set(wanted)))
            raise Misfit(f"{path} has not the same entries ({', '.join(different)})")
        for key, value in wanted.items():
            _check_alike(stored[key], value, f"{path}/{key}")
    elif isinstance(wanted, (list, tuple)):
        if len(stored) != len(wanted):
            raise Misfit(f"{path} has {len(stored)} entries instead of {len(wanted)}")
        for index, value in enumerate(wanted):
            _check_alike(stored[index], value, f"{path}/{index}")
    elif isinstance(wanted, Tensor):
        if stored.shape != wanted.shape or stored.dtype != wanted.dtype:
            raise Misfit(f"{path} has shape {tuple(stored.shape)} ({stored.dtype})")
    elif not _is_number(wanted):
        if stored != wanted:
            raise Misfit(f"{path} is {_shown(stored)} instead of {_shown(wanted)}")
    elif not math.isfinite(stored) and math.isfinite(wanted):
        raise Misfit(f"{path} is {stored}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _check_moments(stored: dict[str, Any], parameters: dict[str, nn.Parameter]) -> None:
    """What Adam keeps for each parameter has the shape and type of that parameter."""
    names = [name for group in stored["parameters"] for name in group]
    numbers = [number for group in stored["param_groups"] for number in group["params"]]
    if numbers != list(range(len(names))) or not set(stored["state"]) <= set(numbers):
        raise Misfit("the parameters of its optimiser are numbered in another way")
    greedy = [group["amsgrad"] for group in stored["param_groups"] for _ in group["params"]]
    for index, moments in stored["state"].items():
        name = names[index]
        expected = MOMENTS | {"max_exp_avg_sq"} if greedy[index] else MOMENTS
        if set(moments) != expected:
            raise Misfit(f"the moments of {name!r} are {', '.join(moments)}")
        for key, tensor in moments.items():
            like = parameters[name] if key != "step" else torch.tensor(0.0)
            if mismatch({key: tensor}, {key: like}):
                raise Misfit(f"of {name!r}, {mismatch({key: tensor}, {key: like})}")


def _check_generators(state: dict[str, Any], training: Training) -> None:
    """Try the states on other generators: only they know what they accept."""
    torch.Generator().set_state(state["global"]["cpu"])
    if not all(isinstance(tensor, Tensor) for tensor in state["global"]["cuda"]):
        raise Misfit("global/cuda are no tensors")
    for name, generator in training.generators.items():
        if isinstance(generator, torch.Generator):
            torch.Generator(generator.device).set_state(state["generators"][name])
        else:
            type(generator.bit_generator)().state = state["generators"][name]


def _put(model: dict[str, Tensor], state: dict[str, Any], training: Training) -> None:
    """Change the objects; nothing can fail any more."""
    training.model.load_state_dict(model)
    moments = {key: state["optimiser"][key] for key in ("state", "param_groups")}
    training.optimiser.load_state_dict(moments)
    if training.scheduler is not None:
        training.scheduler.load_state_dict(state["scheduler"]["state"])
    for name, generator in training.generators.items():
        if isinstance(generator, torch.Generator):
            generator.set_state(state["generators"][name])
        else:
            generator.bit_generator.state = state["generators"][name]
    torch.set_rng_state(state["global"]["cpu"])
    if len(state["global"]["cuda"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all(state["global"]["cuda"])


def _shown(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 80 else words[:77] + "..."
