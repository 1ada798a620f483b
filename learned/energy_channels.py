r"""Gradient of mutual information at every voxel, as input of a descent network.

With p the joint density of fixed and warped values (32 x 32 bins, Gaussian window of one bin) and
:math:`s(f, m) = \partial_m \log \frac{p(f, m)}{p(m)}`, the derivative of mutual information with
respect to a further displacement of the warped image W at x is

.. math:: s(F(x), W(x))\,\nabla W(x),

up to a constant factor (Hermosillo et al. 2002, doi 10.1023/A:1020830525823).  It does not depend on
the particular contrasts of the images, and neither does the residual :math:`E[F \mid W = W(x)] - F(x)`,
the difference of the fixed image from its conditional mean given the warped image.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

BINS = 32
#: Forces are clipped to this multiple of their root mean square, so that a few edges do not dominate.
LARGEST_FORCE = 5.0
#: Scales residuals (intensities) to about the size of the forces.
RESIDUAL_SCALE = 3.0
_LEAST = 1e-6  # lower bound of densities


def channel_count(dimension: int) -> int:
    """Number of channels of :func:`energy_channels`: a force component per axis, and the residual."""
    return dimension + 1


@torch.no_grad()
def energy_channels(warped: Tensor, fixed: Tensor) -> Tensor:
    r"""Force and residual of each pair, (N, d + 1, \*S), without gradients.

    The force is the derivative of mutual information divided by its root mean square.

    Parameters
    ----------
    warped, fixed : (N, 1, \*S) tensors
        Warped moving image and fixed image, in [0, 1].

    Examples
    --------
    For an image shifted by three voxels the force points back:

    >>> import torch
    >>> fixed = torch.exp(-((torch.arange(64.0) - 32) / 8).square()).expand(1, 1, 64, 64)
    >>> force = energy_channels(fixed.roll(3, 3), fixed)[:, :2]
    >>> bool(force[:, 1].mean() > 0), bool(force[:, 0].abs().max() == 0)
    (True, True)
    """
    warped, fixed = warped.float(), fixed.float()
    density = joint_density(warped, fixed)
    moving = density.sum(1, keepdim=True)
    level = torch.log((density + _LEAST) / (moving + BINS * _LEAST))
    slope = torch.zeros_like(level)
    slope[:, :, 1:-1] = (level[:, :, 2:] - level[:, :, :-2]) / 2
    values = torch.linspace(0, 1, BINS, device=density.device)[:, None]
    expected = (density * values).sum(1, keepdim=True) / (moving + _LEAST)
    table = torch.stack((slope, expected.expand(-1, BINS, -1)), 1)
    place = torch.stack((warped.flatten(1), fixed.flatten(1)), -1)[:, None].clamp(0, 1)
    read = functional.grid_sample(table, 2 * place - 1, align_corners=True, padding_mode="border")
    slopes, means = read.reshape(len(warped), 2, *warped.shape[2:]).split(1, 1)
    force = slopes * gradient(warped)
    axes = tuple(range(1, force.ndim))
    force = force / (force.square().mean(axes, keepdim=True).sqrt() + _LEAST)
    residual = RESIDUAL_SCALE * (means - fixed)
    return torch.cat((force.clamp(-LARGEST_FORCE, LARGEST_FORCE), residual), 1)


def joint_density(warped: Tensor, fixed: Tensor) -> Tensor:
    """Smoothed density of fixed (rows) and warped values, (N, 32, 32); sums to 1.

    Counts are integers, so that the result is bitwise reproducible.
    """
    warped_bin, fixed_bin = (
        (image.clamp(0, 1) * (BINS - 1) + 0.5).long().flatten(1) for image in (warped, fixed)
    )
    pair = torch.arange(len(warped), device=warped.device)[:, None]
    cell = (pair * BINS + fixed_bin) * BINS + warped_bin
    counts = torch.bincount(cell.flatten(), minlength=len(warped) * BINS**2)
    window = _window(warped.device)
    density = window @ counts.reshape(-1, BINS, BINS).float() @ window.T
    return density / density.sum((1, 2), keepdim=True)


def gradient(image: Tensor) -> Tensor:
    r"""Central differences along each axis, (N, d, \*S); half the one-sided difference at the border."""
    parts = []
    for axis in range(2, image.ndim):
        n = image.shape[axis]
        ends = image.narrow(axis, 0, 1), image.narrow(axis, n - 1, 1)
        padded = torch.cat((ends[0], image, ends[1]), axis)
        parts.append((padded.narrow(axis, 2, n) - padded.narrow(axis, 0, n)) / 2)
    return torch.cat(parts, 1)


def _window(device: torch.device) -> Tensor:
    """Gaussian window with a standard deviation of one bin; columns sum to 1."""
    bins = torch.arange(BINS, device=device, dtype=torch.float32)
    window = torch.exp(-0.5 * (bins[:, None] - bins).square())
    return window / window.sum(0, keepdim=True)
