"""The tensors of a training: those of its model, of Adam, and of what else changes from step to step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .tensor_file import state_of

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
