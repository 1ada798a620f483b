"""Layers that see a whole batch of which every process has a share.

Batch normalisation takes its statistics over all shares, and dropout masks are drawn for all of them.
So a training by several processes is, up to rounding, the training by one, and their number belongs
to the machine, not to the configuration.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .blocks import Dropout
from .distributed import Processes


def share_batch(module: nn.Module, ours: Processes) -> None:
    """Let normalisation and dropout of a module see the whole batch, of which we have one share.

    Parameters
    ----------
    module : torch.nn.Module
        Changed in place; names of its parameters and buffers stay.
    ours : Processes
        Every process has as many pairs.
    """
    if ours.count == 1:
        return
    for name, child in list(module.named_children()):
        if isinstance(child, _BatchNorm):
            setattr(module, name, SharedNormalisation(child, ours.count))
        elif isinstance(child, Dropout):
            setattr(module, name, SharedDropout(child.rate, child.generator, ours))
        else:
            share_batch(child, ours)


class SharedNormalisation(_BatchNorm):
    """Batch normalisation over the batches of all processes, on any device.

    Parameters
    ----------
    like : BatchNorm
        Whose parameters and buffers become this one's.
    count : int
        Processes.
    """

    def __init__(self, like: _BatchNorm, count: int) -> None:
        super().__init__(like.num_features, like.eps, like.momentum)
        self.count = count
        self.weight, self.bias = like.weight, like.bias
        for name, buffer in like.named_buffers():
            setattr(self, name, buffer)

    def _check_input_dim(self, values: Tensor) -> None:
        """Any dimension will do."""

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return super().forward(values)
        axes = (0, *range(2, values.ndim))
        exact = values.float()
        mean = self._over_all(exact.mean(axes))
        centred = exact - _beside(mean, exact)
        variance = self._over_all(centred.square().mean(axes))
        self._remember(mean.detach(), variance.detach(), exact[:, 0].numel() * self.count)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * _beside(scale, exact) + _beside(self.bias, exact)).to(values.dtype)

    def _over_all(self, values: Tensor) -> Tensor:
        return _Sum.apply(values) / self.count

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, number: int) -> None:
        """Running statistics, with the unbiased variance, as in torch."""
        momentum = 0.1 if self.momentum is None else self.momentum
        for buffer, new in (
            (self.running_mean, mean),
            (self.running_var, variance * (number / (number - 1))),
        ):
            assert buffer is not None
            buffer.lerp_(new.to(buffer), momentum)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its derivative is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        values = values.clone()
        distributed.all_reduce(values)
        return values

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        slope = slope.contiguous().clone()
        distributed.all_reduce(slope)
        return slope


class SharedDropout(Dropout):
    """Dropout that draws the masks of all processes and uses its own.

    Parameters
    ----------
    rate, generator
        As for :class:`learned.blocks.Dropout`; the generator has the same state in every process.
    ours : Processes
    """

    def __init__(self, rate: float, generator: torch.Generator, ours: Processes) -> None:
        super().__init__(rate, generator)
        self.ours = ours

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return values
        n = len(values)
        shape = (n * self.ours.count, *values.shape[1:])
        chance = torch.rand(shape, generator=self.generator, device=self.generator.device)
        kept = chance[n * self.ours.rank : n * (self.ours.rank + 1)].to(values.device) >= self.rate
        return values * (kept.to(values.dtype) / (1 - self.rate))


def _beside(values: Tensor, images: Tensor) -> Tensor:
    """(C,) values to go with (N, C, *S)."""
    return values.reshape(1, -1, *[1] * (images.ndim - 2))
