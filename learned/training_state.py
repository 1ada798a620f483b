"""The state of all that changes in a training, taken out of the objects and put back into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from varreg.errors import InputError

OPTIMISERS = ("Adam", "AdamW")
#: Of the state, beside that of the model.
PARTS = ("optimiser", "scheduler", "generators", "global")
Generator = torch.Generator | np.random.Generator


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


def described(training: Training, function: str) -> dict[str, Any]:
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


def put(model: dict[str, Tensor], state: dict[str, Any], training: Training) -> None:
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
