"""One step of the optimiser."""

from __future__ import annotations

import math

import torch
from torch import nn

from .data.datasets import Pair
from .distributed import Processes
from .interruption import Interruption
from .losses.objective import Losses
from .stage_losses import Known
from .training_state import Training


def take_step(
    module: nn.Module,
    training: Training,
    batch: Pair,
    ours: Processes,
    *,
    in_half: bool,
    largest_gradient: float | None,
    interruption: Interruption,
) -> dict[str, float]:
    """A step, unless the loss or its gradient is not finite: then nothing changes.

    Parameters
    ----------
    module : nn.Module
        The loss of a stage, see :mod:`learned.stage_losses`.
    training : Training
    batch : Pair
        This process's share.
    ours : Processes
    in_half : bool
        Whether the convolutions are in bfloat16.
    largest_gradient : float or None
        Norm to which longer gradients are cut.
    interruption : Interruption
        Looked at last, so that a signal that comes during the step counts.

    Returns
    -------
    dict of str to float
        Means over all processes: the terms of the loss, "gradient" (its norm before the cut),
        "interrupted" (above 0 if any was asked to stop), and "learning_rate".
    """
    moving, fixed, truth, visible = (
        part.to(ours.device) for part in (batch.moving, batch.fixed, batch.truth, batch.visible)
    )
    training.optimiser.zero_grad()
    with torch.autocast(ours.device.type, torch.bfloat16, enabled=in_half):
        losses = module(moving, fixed, Known(truth, visible))
    losses.total.backward()
    trained = training.optimiser.param_groups[0]["params"]
    gradient = nn.utils.clip_grad_norm_(trained, largest_gradient or math.inf)
    asked = gradient.new_tensor(float(interruption.signal != 0))
    numbers = torch.stack([n.detach().double() for n in (*losses, gradient, asked)])
    names = (*Losses._fields, "gradient", "interrupted")
    values = dict(zip(names, ours.mean(numbers).tolist(), strict=True))
    values["learning_rate"] = float(training.scheduler.get_last_lr()[0])
    if is_finite(values):
        training.optimiser.step()
        training.scheduler.step()
    return values


def is_finite(values: dict[str, float]) -> bool:
    """Whether the loss and its gradient are.

    Examples
    --------
    >>> is_finite({"total": float("nan"), "gradient": 1.0})
    False
    """
    return math.isfinite(values["total"]) and math.isfinite(values["gradient"])
