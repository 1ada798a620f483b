"""Seeded random generators, and smooth noise."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from varreg.errors import InputError

#: Mean over a cell of the sum of squared cubic B-spline weights: variance of the interpolated white noise.
_SQUARED_WEIGHTS = 151 / 315


def seeded_generator(*numbers: int) -> torch.Generator:
    """Random generator determined by a sequence of integers.

    Parameters
    ----------
    *numbers : int
        Non-negative, e.g. seed, epoch and index.

    Returns
    -------
    torch.Generator
        On the CPU.

    Raises
    ------
    InputError
        If a number is negative or not an integer.

    Examples
    --------
    >>> first, again = seeded_generator(0, 1, 2), seeded_generator(0, 1, 2)
    >>> torch.rand(1, generator=first) == torch.rand(1, generator=again)
    tensor([True])
    """
    if not all(isinstance(n, (int, np.integer)) and n >= 0 for n in numbers):
        raise InputError(f"seeded_generator: `numbers` must be whole numbers >= 0; got {numbers}.")
    # a hash, so that different sequences have different streams; sums or padded words would collide
    text = ",".join(str(int(n)) for n in numbers)
    digest = hashlib.sha256(text.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """Random number, uniform in [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def smooth_noise(
    shape: Sequence[int], spacing: float, channels: int, generator: torch.Generator
) -> Tensor:
    r"""Gaussian noise with continuous second derivatives: a cubic B-spline with random coefficients.

    .. math:: f(x) = \sum_k z_k \prod_i \beta^3(x_i / h_i - k_i), \qquad z_k \sim N(0, \sigma^2)

    with :math:`\sigma` such that the mean variance is 1 (Unser, doi 10.1109/79.799930).  Values do
    not depend on the number of threads: only 4 neighbours are summed along each axis, in a fixed order.

    Parameters
    ----------
    shape : sequence of int
        (*S), voxels.
    spacing : float
        Spacing h of the coefficients in voxels, reduced along each axis to a divisor of the field of view.
    channels : int
        Number C of independent fields.
    generator : torch.Generator

    Returns
    -------
    (C, *S) float32 tensor

    Raises
    ------
    InputError
        If the spacing is not a number of at least 1.

    Examples
    --------
    >>> smooth_noise((8, 9), 4.0, 2, seeded_generator(0)).shape
    torch.Size([2, 8, 9])
    """
    if not 1 <= spacing < math.inf:
        raise InputError(f"smooth_noise: `spacing` must be at least 1 voxel; got {spacing!r}.")
    cells = [max(1, math.ceil(n / spacing)) for n in shape]
    values = torch.randn([channels, *(count + 3 for count in cells)], generator=generator)
    values *= _SQUARED_WEIGHTS ** (-len(cells) / 2)
    for n, count in zip(reversed(shape), reversed(cells), strict=True):
        values = _along_first(values.movedim(-1, 0).contiguous(), n, count)
    return values.movedim(-1, 0).contiguous()


def _along_first(values: Tensor, n: int, count: int) -> Tensor:
    """Values at n voxels in `count` cells, of a B-spline with coefficients (count + 3, ...) along the first axis."""
    position = (torch.arange(n, dtype=torch.float64) + 0.5) * (count / n)
    first = position.floor().long().clamp(max=count - 1)
    t = position - first
    weights = torch.stack(
        [(1 - t) ** 3, 4 - 6 * t**2 + 3 * t**3, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3]
    )
    weights = (weights / 6).float().reshape(4, n, *[1] * (values.ndim - 1))
    total = weights[0] * values.index_select(0, first)
    for k in range(1, 4):
        total.addcmul_(weights[k], values.index_select(0, first + k))
    return total
