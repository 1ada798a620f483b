r"""Joint histograms with quadratic B-splines, and the mutual information of the smoothed histograms.

The estimator of :mod:`varreg.similarity.estimator` in PyTorch: the fixed value is assigned to one bin, the
warped value v (in bins) is distributed over three bins, and the histogram is then smoothed by the Parzen
matrix K.  With t = v - c, c the nearest bin, and the joint histogram H,

.. math:: H_{f,c-1} \mathrel{+}= \tfrac w2 (\tfrac12 - t)^2, \quad
          H_{f,c} \mathrel{+}= w (\tfrac34 - t^2), \quad
          H_{f,c+1} \mathrel{+}= \tfrac w2 (\tfrac12 + t)^2,

.. math:: N\,\mathrm{MI} = \sum_{ab} S_{ab} L_{ab}, \quad S = K H K^T, \quad
          L_{ab} = \log\frac{S_{ab}\,N}{S_a\,S_b}, \quad
          \frac{\partial (N\,\mathrm{MI})}{\partial H} = K^T L K .

Each voxel costs three additions and, in the derivative, three look-ups.  Memory is O(voxels); no array of
size voxels x bins is allocated (Thevenaz and Unser, doi 10.1109/83.887976).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from varreg.backends.arrays import Array

from ..tensors import differentiable_once

#: Number of voxels processed at a time.
CHUNK = 2**15


def joint_histogram(value: Tensor, weight: Tensor, row: Tensor, rows: int, bins: int) -> Tensor:
    """Joint histogram: sum of the weights for each row (fixed bin) and each moving bin.

    The result is bitwise reproducible with any number of threads and also on a GPU, because integers
    are summed, for which the order does not matter.

    Parameters
    ----------
    value : (N, V) tensor
        Warped moving values in bins, in [1, B - 2]. If a value is not finite, the histograms of its
        pair are nan.
    weight : (N, V) tensor
        In [0, 1], of the dtype of `value`.
    row : (N, V) int64 tensor
        Histogram row of each voxel. The rows of a pair are contiguous and not shared with other
        pairs.
    rows : int
        Total number of rows of all pairs, a multiple of N.
    bins : int
        Number of bins, B.

    Returns
    -------
    (rows, B) tensor, float64
        Differentiable once, with respect to `value` and `weight`.
    """
    given = (tensor.contiguous() for tensor in (value, weight, row))
    return _JointHistogram.apply(*given, rows, bins)


def information(table: Tensor, matrix: Tensor) -> Tensor:
    """Mutual information times total weight of each pair, summed over its regions.

    Parameters
    ----------
    table : (N, R, B, B) tensor, float64
        Joint histograms: pair, region, fixed bin, moving bin.
    matrix : (B, B) tensor, float64
        Parzen matrix K; column b is the kernel centred at bin b.

    Returns
    -------
    (N,) tensor, float64
        In nats times voxels; empty cells and regions contribute 0. Differentiable once, with respect
        to `table`.
    """
    return _Information.apply(table, matrix)


def parzen_matrix(kernel: Array) -> Array:
    """Parzen matrix K, (B, B), from the kernel (B, 2 r + 1) of :func:`varreg.similarity.estimator.parzen_kernel`."""
    bins, reach = len(kernel), kernel.shape[1] // 2
    column = np.arange(bins)[:, None]
    padded = np.zeros((bins + 2 * reach, bins))
    padded[column + np.arange(kernel.shape[1]), column] = kernel
    return padded[reach : bins + reach]


class _JointHistogram(torch.autograd.Function):
    """See :func:`joint_histogram`."""

    @staticmethod
    def forward(
        ctx: Any, value: Tensor, weight: Tensor, row: Tensor, rows: int, bins: int
    ) -> Tensor:
        ctx.save_for_backward(value, weight, row)
        scale = 2.0 ** (62 - value.shape[1].bit_length())  # the sum of a pair stays below 2^63
        whole = torch.zeros(rows * bins, dtype=torch.int64, device=value.device)
        for values, weights, lines in _chunks(value, weight, row):
            offset, cell = _place(values.double(), lines, bins)
            share = weights.double() * scale
            below, above = ((share * (0.5 + s * offset).square() / 2).long() for s in (-1, 1))
            whole.scatter_add_(0, cell - 1, below)
            whole.scatter_add_(0, cell, share.long() - below - above)  # no weight is lost
            whole.scatter_add_(0, cell + 1, above)
        table = (whole.double() / scale).view(len(value), -1)
        # integers cannot be nan, so non-finite values are propagated here
        table += 0 * (value.sum(1, keepdim=True) + weight.sum(1, keepdim=True))
        return table.view(rows, bins)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        value, weight, row = ctx.saved_tensors
        table, bins = slope.to(value.dtype).flatten(), slope.shape[1]
        by_value, by_weight = torch.empty_like(value), torch.empty_like(weight)
        given = _chunks(value, weight, row, by_value, by_weight)
        for values, weights, lines, value_slope, weight_slope in given:
            offset, cell = _place(values, lines, bins)
            left, middle, right = (table.index_select(0, cell + step) for step in (-1, 0, 1))
            rise, bend = right - left, left - 2 * middle + right
            value_slope[...] = weights * (0.5 * rise + offset * bend)
            # quadratic spline through the three bins: value at the nearest bin plus Taylor terms
            weight_slope[...] = middle + 0.125 * bend + 0.5 * offset * (rise + offset * bend)
        return by_value, by_weight, None, None, None


def _chunks(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Corresponding chunks of flattened tensors of equal shape; on a CPU they fit into its cache."""
    size = CHUNK if tensors[0].device.type == "cpu" else max(tensors[0].numel(), 1)
    yield from zip(*(tensor.view(-1).split(size) for tensor in tensors), strict=True)


def _place(value: Tensor, row: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    """Offset from the nearest bin, and index of that bin's cell in the flattened histogram."""
    # clamped as an integer: a non-finite value gets a valid index, and its offset is not finite
    nearest = (value + 0.5).long().clamp_(1, bins - 2)
    return value - nearest, row * bins + nearest


class _Information(torch.autograd.Function):
    """See :func:`information`."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, matrix: Tensor) -> Tensor:
        smooth = matrix @ table @ matrix.T
        fixed, moving = smooth.sum(-1, keepdim=True), smooth.sum(-2, keepdim=True)
        mass = fixed.sum(-2, keepdim=True)
        ratio = _logarithm(smooth) + _logarithm(mass) - _logarithm(fixed) - _logarithm(moving)
        ratio = torch.where(smooth == 0, 0.0, ratio)
        ctx.save_for_backward(ratio, matrix)
        return (smooth * ratio).sum((1, 2, 3))

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        ratio, matrix = ctx.saved_tensors
        return gradient.view(-1, 1, 1, 1) * (matrix.T @ ratio @ matrix), None


def _logarithm(value: Tensor) -> Tensor:
    """Natural logarithm, 0 where the value is 0."""
    return torch.where(value == 0, 1.0, value).log()
