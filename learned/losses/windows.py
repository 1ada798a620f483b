r"""Density estimator of the parent paper: Gaussian windows of both values, normalised at each voxel.

With B bins, the values f_i and m_i of voxel i in bins, and the window

.. math:: g_b(x) = \frac{\exp(-(x - b)^2 / 2\sigma^2)}{\sum_c \exp(-(x - c)^2 / 2\sigma^2)},
          \qquad H_{ab} = \sum_i w_i\,g_a(f_i)\,g_b(m_i), \qquad p = H / \sum H,

.. math:: \mathrm{MI} = \sum_{ab} p_{ab} \log\Bigl(\frac{p_{ab}}{p_a\,p_b + \varepsilon} +
          \varepsilon\Bigr),

the estimator of doi 10.1109/TMI.2021.3059282.  Windows are truncated at six standard deviations, so that
each voxel contributes to 2 r + 1 bins.  On a CPU the sums are computed by the solver's kernels (ten times
faster); on a GPU by matrix products of the windows over all bins, for a few thousand voxels at a time, which is
fastest there.  Memory is O(voxels).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from varreg.backends.arrays import Array, Warped, Windows
from varreg.backends.numba import backend as kernels
from varreg.similarity.estimator import GUARD

from ..tensors import differentiable_once, without_autocast

#: Number of voxels whose windows are in memory at a time.
CHUNK = 8192


def windowed_histogram(
    fixed: Tensor, value: Tensor, weight: Tensor, bins: int, windows: Windows
) -> Tensor:
    """Joint histogram H of each pair with per-voxel windows.

    Parameters
    ----------
    fixed, value : (N, V) tensor
        Fixed and warped moving values in bins, in [0, B - 1], of one dtype.
    weight : (N, V) tensor
        In [0, 1], of the same dtype.
    bins : int
        Number of bins, B.
    windows : Windows
        Reach r in bins and precision 1 / (2 sigma^2).

    Returns
    -------
    (N, B, B) tensor, float64
        Axes: pair, fixed bin, moving bin. Differentiable once, with respect to `value` and `weight`.
    """
    return _WindowedHistogram.apply(fixed, value, weight, bins, windows)


def guarded_information(table: Tensor) -> Tensor:
    """Mutual information times total weight, with the parent paper's epsilon inside the logarithm.

    Parameters
    ----------
    table : (N, B, B) tensor, float64
        Joint histograms.

    Returns
    -------
    (N,) tensor, float64
        In nats times voxels; 0 for an empty histogram.
    """
    mass = table.sum((1, 2), keepdim=True)
    density = table / torch.where(mass == 0, 1.0, mass)
    product = density.sum(2, keepdim=True) * density.sum(1, keepdim=True)
    logarithm = (density / (product + GUARD) + GUARD).log()
    return mass[:, 0, 0] * (density * logarithm).sum((1, 2))


class _WindowedHistogram(torch.autograd.Function):
    """See :func:`windowed_histogram`."""

    @staticmethod
    def forward(
        ctx: Any, fixed: Tensor, value: Tensor, weight: Tensor, bins: int, windows: Windows
    ) -> Tensor:
        ctx.save_for_backward(fixed, value, weight)
        ctx.windows = windows
        table = _table_by_kernel if value.device.type == "cpu" else _table_by_matrices
        with without_autocast(value):
            return table(fixed, value, weight, bins, windows)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        fixed, value, weight = ctx.saved_tensors
        slopes = _slopes_by_kernel if value.device.type == "cpu" else _slopes_by_matrices
        with without_autocast(slope):
            return None, *slopes(fixed, value, weight, slope, ctx.windows), None, None


def _table_by_matrices(
    fixed: Tensor, value: Tensor, weight: Tensor, bins: int, windows: Windows
) -> Tensor:
    """Joint histograms (N, B, B) by matrix products, for a GPU."""
    table = torch.zeros(len(value), bins, bins, dtype=torch.float64, device=value.device)
    for pair, part in _chunks(value):
        here = _Spread(fixed[pair, part], bins, windows).everywhere()
        there = _Spread(value[pair, part], bins, windows).everywhere()
        table[pair] += (here * weight[pair, part, None]).T @ there
    return table


def _slopes_by_matrices(
    fixed: Tensor, value: Tensor, weight: Tensor, slope: Tensor, windows: Windows
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`_table_by_matrices` by `value` and `weight`, (N, V) each."""
    bins, slope = slope.shape[1], slope.to(value.dtype)
    by_value, by_weight = torch.empty_like(value), torch.empty_like(weight)
    for pair, part in _chunks(value):
        along = _Spread(fixed[pair, part], bins, windows).everywhere() @ slope[pair]
        there = _Spread(value[pair, part], bins, windows)
        near = there.pick(along)
        by_value[pair, part] = weight[pair, part] * (there.slope() * near).sum(1)
        by_weight[pair, part] = (there.share * near).sum(1)
    return by_value, by_weight


def _table_by_kernel(
    fixed: Tensor, value: Tensor, weight: Tensor, bins: int, windows: Windows
) -> Tensor:
    """Joint histograms (N, B, B) by the solver's kernels, for a CPU."""
    threads = torch.get_num_threads()
    tables = [
        torch.from_numpy(kernels.windowed_histogram(row, warped, bins, windows, threads))
        for row, warped in _as_images(fixed, value, weight)
    ]
    # the kernels skip values that are not finite; they are propagated here
    return torch.stack(tables) + 0 * (value.sum(1) + weight.sum(1)).double()[:, None, None]


def _slopes_by_kernel(
    fixed: Tensor, value: Tensor, weight: Tensor, slope: Tensor, windows: Windows
) -> tuple[Tensor, Tensor]:
    """Gradients of :func:`_table_by_kernel` by `value` and `weight`, (N, V) each."""
    threads, found = torch.get_num_threads(), []
    for table, (row, warped) in zip(slope, _as_images(fixed, value, weight), strict=True):
        kernels.windowed_slope(row, warped, table.contiguous().numpy(), windows, threads)
        found.append((warped.slope.reshape(-1), warped.weight_slope.reshape(-1)))
    by_value, by_weight = zip(*found, strict=True)
    return torch.from_numpy(np.stack(by_value)), torch.from_numpy(np.stack(by_weight))


def _as_images(*images: Tensor) -> Iterator[tuple[Array, Warped]]:
    """Fixed and warped values of each pair, (V, 1, 1), in the layout of the kernels."""
    lists = zip(*(image.detach().contiguous().numpy() for image in images), strict=True)
    for fixed, value, weight in (tuple(row[:, None, None] for row in pair) for pair in lists):
        slopes = np.empty_like(value), np.empty_like(value)
        yield fixed, Warped(value, weight, np.zeros(len(value), np.uint8), *slopes)


class _Spread:
    """Windows of V values over 2 r + 1 bins each: ``share`` (V, 2 r + 1)."""

    def __init__(self, value: Tensor, bins: int, windows: Windows) -> None:
        self.bins, self.reach, self.precision = bins, windows.reach, windows.precision
        # a value that is not finite gets a valid index; its shares are nan
        nearest = torch.nan_to_num((value + 0.5).floor()).clamp_(0, bins - 1).long()
        self.first = nearest  # first bin of the window, in a table padded by r bins on either side
        step = torch.arange(2 * self.reach + 1, device=value.device)
        bin_ = nearest[:, None] + (step - self.reach)
        self.distance = value[:, None] - bin_
        weight = torch.exp(-self.precision * self.distance.square())
        weight = weight * ((bin_ >= 0) & (bin_ < bins))
        self.share = weight / weight.sum(1, keepdim=True)
        self.index = self.first[:, None] + step

    def everywhere(self) -> Tensor:
        """Windows over all bins, (V, B)."""
        padded = self.share.new_zeros(len(self.share), self.bins + 2 * self.reach)
        return padded.scatter_(1, self.index, self.share)[:, self.reach : self.reach + self.bins]

    def pick(self, table: Tensor) -> Tensor:
        """Entries of (V, B) at the bins of each window, 0 beyond its ends."""
        return torch.nn.functional.pad(table, (self.reach, self.reach)).gather(1, self.index)

    def slope(self) -> Tensor:
        """Derivative of the shares with respect to the value."""
        logarithmic = -2 * self.precision * self.distance
        return self.share * (logarithmic - (self.share * logarithmic).sum(1, keepdim=True))


def _chunks(value: Tensor) -> Iterator[tuple[int, slice]]:
    """Pair and range of voxels of each chunk."""
    for pair in range(value.shape[0]):
        for first in range(0, value.shape[1], CHUNK):
            yield pair, slice(first, first + CHUNK)
