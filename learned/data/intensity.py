"""What a scanner does to an image: another curve of intensities, blur, bias field, noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varreg.errors import InputError
from varreg.images.accepted import Image
from varreg.images.intensities import robust_range, unit_intensities

from .random_fields import smooth_noise, uniform
from .slices import FOREGROUND


@dataclass(frozen=True)
class IntensityRanges:
    """How far an image may be changed; every quantity is uniform over its range.

    Attributes
    ----------
    gamma : float
        Largest absolute logarithm of the exponent that intensities are raised to.
    inversion : float
        Probability that bright and dark are exchanged in the foreground.
    blur : (float, float)
        Standard deviation of the point spread, voxels, for each axis by itself.
    bias : float
        Largest standard deviation of the logarithm of the bias field.
    noise : float
        Largest standard deviation of the noise in each channel of the complex signal.
    clean_background : float
        Probability that what was 0 before the noise is 0 after it, as in stripped images.
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


#: Of images painted from labels: the contrast is random already, and edges are too sharp.
PAINTED = IntensityRanges(gamma=0.2, inversion=0.0, blur=(0.3, 1.2), bias=0.3, noise=0.05)


def acquire(image: Tensor, ranges: IntensityRanges, generator: torch.Generator) -> Tensor:
    """The image as another scan would show it.

    Parameters
    ----------
    image : (*S) float32 tensor
        In [0, 1], 0 in the background.
    ranges : IntensityRanges
    generator : torch.Generator

    Returns
    -------
    (*S) float32 tensor
        In [0, 1], scaled by the solver's own rule (:func:`varreg.images.intensities.unit_intensities`).

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
        image = (image / FOREGROUND).clamp(max=1) * (1 - image)  # continuous down to the background
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
        return torch.zeros_like(image)  # nothing in view: there is no range to scale
    return torch.from_numpy(unit_intensities(image.numpy(), None))


def blur(image: Tensor, widths: Sequence[float]) -> Tensor:
    """The image through a Gaussian, one width per axis; the border value is continued.

    Written as sums of shifted images, so that the result does not depend on the number of threads.

    Parameters
    ----------
    image : (*S) tensor
    widths : sequence of float
        Standard deviations in voxels; 0 leaves an axis as it is.

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
        if width < 0.1 or radius == 0:  # less than 1e-20 of a neighbour
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


def unit_values(image: Image) -> NDArray[np.float32]:
    """Unit intensities, (*S); what holds no data is black, as around a head that was cut out."""
    if image.valid is None:
        return unit_intensities(image.data, None)
    known = unit_intensities(image.data, robust_range(image.data[image.valid]))
    return np.where(image.valid, known, np.float32(0))
