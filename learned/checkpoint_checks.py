"""Whether what a checkpoint holds fits the objects that it is for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from varreg.errors import FileError

from .config import Config, changed_keys
from .messages import shown
from .tensor_file import mismatch
from .training_state import PARTS, Training

#: What Adam keeps for each parameter.
MOMENTS = {"step", "exp_avg", "exp_avg_sq"}


class Misfit(FileError):
    """What in a checkpoint does not fit; the caller adds which file."""


def check_architecture(stored: Config, config: Config) -> None:
    keys = [key for key in changed_keys(stored, config) if key.startswith("model.")]
    if keys:
        raise Misfit(f"it is of another architecture ({', '.join(keys)} differ)")


def check_model(tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    wrong = mismatch(tensors, model.state_dict())
    if wrong:
        raise Misfit(f"it is of another architecture: {wrong}")


def check_state(stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Everything but the moments, which a new optimiser does not have, and the state of GPUs."""
    for part, left_out in zip(PARTS, ("state", None, None, "cuda"), strict=True):
        one, other = (
            {k: v for k, v in side[part].items() if k != left_out}
            if isinstance(side[part], dict)
            else side[part]
            for side in (stored, wanted)
        )
        _check_alike(one, other, part)


def check_moments(stored: dict[str, Any], parameters: dict[str, nn.Parameter]) -> None:
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


def check_generators(state: dict[str, Any], training: Training) -> None:
    """Try the states on other generators: only they know what they accept."""
    torch.Generator().set_state(state["global"]["cpu"])
    if not all(isinstance(tensor, Tensor) for tensor in state["global"]["cuda"]):
        raise Misfit("global/cuda are no tensors")
    for name, generator in training.generators.items():
        if isinstance(generator, torch.Generator):
            torch.Generator(generator.device).set_state(state["generators"][name])
        else:
            type(generator.bit_generator)().state = state["generators"][name]


def _check_alike(stored: Any, wanted: Any, path: str) -> None:
    """Numbers may differ, as training changes them, and tensors in their values; nothing else."""
    if type(stored) is not type(wanted) and not (_is_number(stored) and _is_number(wanted)):
        raise Misfit(f"{path} is {shown(stored)} instead of {shown(wanted)}")
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
            raise Misfit(f"{path} is {shown(stored)} instead of {shown(wanted)}")
    elif not math.isfinite(stored) and math.isfinite(wanted):
        raise Misfit(f"{path} is {stored}")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)
