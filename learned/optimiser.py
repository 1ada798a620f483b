"""Optimiser of a stage of the training: Adam, and the schedule of its learning rate."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from .config import OptimiserConfig
from .training_state import Training


def make_training(
    model: nn.Module, config: OptimiserConfig, steps: int, generator: torch.Generator
) -> Training:
    """Adam and its schedule for what is trainable.

    Parameters
    ----------
    model : torch.nn.Module
    config : OptimiserConfig
    steps : int
        Of the whole stage.
    generator : torch.Generator
        That dropout draws from.
    """
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(trainable, lr=config.learning_rate)
    schedule = LambdaLR(optimiser, lambda step: learning_rate_factor(config, step, steps))
    return Training(model, optimiser, schedule, {"dropout": generator})


def learning_rate_factor(config: OptimiserConfig, step: int, steps: int) -> float:
    """What the learning rate is multiplied by at a step of a stage.

    Parameters
    ----------
    config : OptimiserConfig
    step : int
        From 0.
    steps : int
        Of the whole stage.

    Examples
    --------
    >>> config = OptimiserConfig(schedule="cosine", warm_up=2)
    >>> [round(learning_rate_factor(config, k, 6), 3) for k in range(6)]
    [0.5, 1.0, 1.0, 0.854, 0.5, 0.146]
    """
    if step < config.warm_up:
        return (step + 1) / config.warm_up
    if config.schedule == "constant":
        return 1.0
    passed = (step - config.warm_up) / max(steps - config.warm_up, 1)
    return 0.5 * (1 + math.cos(math.pi * min(passed, 1.0)))


def keep_layout(optimiser: torch.optim.Optimizer) -> None:
    """Give moments that came from a file the memory layout of their parameters.

    Another layout would be added up by other instructions, whose last bits may differ.
    """
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            for key, moment in optimiser.state.get(parameter, {}).items():
                if moment.shape == parameter.shape:
                    optimiser.state[parameter][key] = torch.empty_like(parameter).copy_(moment)
