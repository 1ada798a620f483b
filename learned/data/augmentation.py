r"""Augmentation: pairs with an exactly known random map, and simulated acquisition.

From contrasts M and F of a subject that coincide voxel by voxel, a random map T generates the pair

.. math:: \text{moving} = M \circ C, \qquad \text{fixed} = F \circ C \circ T,

so that the true map fixed -> moving is T itself, :math:`x \mapsto x + u(x)`, without inversion.
C is a pose common to both images (flips, position of the head).  Each image is interpolated once.
Because T is applied to one image only, training covers misalignments of every size, not only those of
the data.  Each image is then given its own intensity transform, blur, bias field and noise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from varreg.errors import InputError
from varreg.images.intensities import unit_intensities

from ..spatial import compose, view_weight, warp
from .cuts import FOREGROUND
from .random_fields import smooth_noise, uniform


class WarpedScene(NamedTuple):
    """Two images and the map between them.

    Attributes
    ----------
    moving, fixed : (1, C, *S) tensor
    truth : (1, d, *S) tensor
        Displacement fixed -> moving, voxels.
    """

    moving: Tensor
    fixed: Tensor
    truth: Tensor


def random_flips(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images (C, *S) with axes flipped, and axes of equal length permuted, at random, the same for all.

    Examples
    --------
    >>> random_flips(torch.ones(2, 4, 5), torch.Generator()).shape
    torch.Size([2, 4, 5])
    """
    shape = images.shape[1:]
    d = len(shape)
    for axis in range(d - 1, 0, -1):  # Fisher-Yates; swaps that would change the shape are omitted
        other = int(torch.randint(axis + 1, (), generator=generator))
        if shape[axis] == shape[other]:
            images = images.transpose(axis + 1, other + 1)
    reverse = torch.randint(2, (d,), generator=generator).tolist()
    return images.flip([axis + 1 for axis in range(d) if reverse[axis]])


def warp_scene(moving: Tensor, fixed: Tensor, pose: Tensor, truth: Tensor) -> WarpedScene:
    """M o C and F o C o T, see :mod:`learned.data.augmentation`; 0 outside the field of view.

    Parameters
    ----------
    moving, fixed : (1, C, *S) tensor
        Images that coincide voxel by voxel.
    pose, truth : (1, d, *S) tensor
        Displacements of C and T, voxels.

    Returns
    -------
    WarpedScene

    Examples
    --------
    >>> image, still = torch.rand(1, 1, 4, 5), torch.zeros(1, 2, 4, 5)
    >>> bool((warp_scene(image, image, still, still).fixed == image).all())
    True
    """
    total = compose(pose, truth)
    shape = moving.shape[2:]
    return WarpedScene(
        warp(moving, pose) * view_weight(pose, shape),
        warp(fixed, total) * view_weight(total, shape),
        truth,
    )


def warp_labels(labels: Tensor, displacement: Tensor) -> Tensor:
    """Label maps warped by nearest-neighbour interpolation; 0 outside the field of view.

    Parameters
    ----------
    labels : (N, C, *S) tensor
        Integers up to 255, of a floating-point type.
    displacement : (N, d, *S) tensor
        u, voxels.

    Examples
    --------
    >>> labels = torch.tensor([[[[0.0, 3.0, 7.0]] * 2]])
    >>> shift = torch.tensor([0.0, 0.6]).reshape(1, 2, 1, 1).expand(1, 2, 2, 3)
    >>> warp_labels(labels, shift)[0, 0, 0].tolist()
    [3.0, 7.0, 0.0]
    """
    nearest = displacement.round()
    return (warp(labels, nearest) * view_weight(nearest, labels.shape[2:])).round()


@dataclass(frozen=True)
class IntensityRanges:
    """Ranges of random intensity changes; every quantity is uniform over its range.

    Attributes
    ----------
    gamma : float
        Largest absolute logarithm of the gamma exponent of the intensities.
    inversion : float
        Probability that the contrast of the foreground is inverted.
    blur : (float, float)
        Standard deviation of the point spread function, voxels, independent for each axis.
    bias : float
        Largest standard deviation of the logarithm of the bias field.
    noise : float
        Largest standard deviation of the noise in each channel of the complex signal.
    clean_background : float
        Probability that the background stays free of noise, as in skull-stripped images.
    """

    gamma: float = 0.4
    inversion: float = 0.25
    blur: tuple[float, float] = (0.0, 0.8)
    bias: float = 0.2
    noise: float = 0.04
    clean_background: float = 0.7

    def __post_init__(self) -> None:
        object.__setattr__(self, "blur", tuple(self.blur))
        for name, largest in (
            ("gamma", 3), ("inversion", 1), ("bias", 2), ("noise", 1), ("clean_background", 1),
        ):  # fmt: skip
            if not 0 <= getattr(self, name) <= largest:
                raise InputError(
                    f"`IntensityRanges({name}=...)` must be a number from 0 to {largest}; got "
                    f"{getattr(self, name)!r}."
                )
        if len(self.blur) != 2 or not 0 <= self.blur[0] <= self.blur[1] <= 10:
            raise InputError(
                "`IntensityRanges(blur=...)` must be two widths from 0 to 10 voxels, increasing; "
                f"got {self.blur!r}."
            )


#: For images synthesised from labels, whose contrast is already random and whose edges are too sharp.
PAINTED = IntensityRanges(gamma=0.2, inversion=0.0, blur=(0.3, 1.2), bias=0.3, noise=0.05)


def acquire(image: Tensor, ranges: IntensityRanges, generator: torch.Generator) -> Tensor:
    """Simulated acquisition: random gamma, inversion, blur, bias field and Rician noise.

    Parameters
    ----------
    image : (*S) float32 tensor
        In [0, 1], 0 in the background.
    ranges : IntensityRanges
    generator : torch.Generator

    Returns
    -------
    (*S) float32 tensor
        In [0, 1], scaled like images in the solver (:func:`varreg.images.intensities.unit_intensities`).

    Raises
    ------
    InputError
        If the image is not finite or not in [0, 1].

    Examples
    --------
    >>> acquire(torch.eye(8), IntensityRanges(), torch.Generator().manual_seed(0)).shape
    torch.Size([8, 8])
    """
    low, high = (float(value) for value in torch.aminmax(image))
    if not 0 <= low <= high <= 1:
        raise InputError(
            f"acquire: `image` must be finite and in [0, 1]; it is in [{low:g}, {high:g}]. Use "
            "varreg.images.intensities.unit_intensities."
        )
    image = image ** math.exp(uniform(-ranges.gamma, ranges.gamma, generator))
    if uniform(0, 1, generator) < ranges.inversion:
        image = (image / FOREGROUND).clamp(max=1) * (1 - image)  # continuous at the background
    image = blur(image, [uniform(*ranges.blur, generator) for _ in image.shape])
    background = image < 0.02
    bias = uniform(0, ranges.bias, generator)
    spacing = max(image.shape) * uniform(0.25, 0.7, generator)
    image = image * (bias * smooth_noise(image.shape, max(spacing, 1.0), 1, generator)[0]).exp()
    noise = uniform(0, ranges.noise, generator)
    real, imaginary = noise * torch.randn(2, *image.shape, generator=generator)
    image = torch.hypot(image + real, imaginary)
    if uniform(0, 1, generator) < ranges.clean_background:
        image = image.masked_fill(background, 0)
    if bool((image == image.flatten()[0]).all()):
        return torch.zeros_like(image)  # constant: there is no range to scale
    return torch.from_numpy(unit_intensities(image.numpy(), None))


def blur(image: Tensor, widths: Sequence[float]) -> Tensor:
    """Image smoothed by a Gaussian, with one width per axis; border values are continued constantly.

    Computed as a sum of shifted images, so that the result does not depend on the number of threads.

    Parameters
    ----------
    image : (*S) tensor
    widths : sequence of float
        Standard deviations in voxels; 0 for no smoothing along an axis.

    Returns
    -------
    (*S) tensor

    Examples
    --------
    >>> [round(v, 2) for v in blur(torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0]), (0.5,)).tolist()]
    [0.0, 0.11, 0.79, 0.11, 0.0]
    """
    for axis, width in enumerate(widths):
        radius = math.ceil(3 * width)
        if width < 0.1 or radius == 0:  # the weight of a neighbour is below 1e-20
            continue
        weights = [math.exp(-0.5 * (k / width) ** 2) for k in range(radius + 1)]
        total = weights[0] + 2 * sum(weights[1:])
        n = image.shape[axis]
        first, last = image.narrow(axis, 0, 1), image.narrow(axis, n - 1, 1)
        padded = torch.cat([first] * radius + [image] + [last] * radius, axis)
        image = image * (weights[0] / total)
        for k in range(1, radius + 1):
            pair = padded.narrow(axis, radius - k, n) + padded.narrow(axis, radius + k, n)
            image = image + pair * (weights[k] / total)
    return image
