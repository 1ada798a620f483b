r"""Random maps between two images that coincide, with the truth known exactly, and what a scanner adds.

Of a subject whose contrasts M and F coincide voxel by voxel, a random map T gives the pair

.. math:: \text{moving} = M \circ C, \qquad \text{fixed} = F \circ C \circ T,

so that the map fixed -> moving that is sought is T itself, :math:`x \mapsto x + u(x)`: no inverse
is taken.  C is a pose that both share (flips, another placement of the head).  Each image is
interpolated once.  Because T is drawn for one image alone, a network sees every misalignment, not
only the one that came with the data.  Then each gets another curve of intensities, blur, bias field and noise.
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
    """Two images of one anatomy and the map between them.

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
    """Axes of (C, *S) images reversed, and those of equal length swapped, at random; all alike.

    Examples
    --------
    >>> random_flips(torch.ones(2, 4, 5), torch.Generator()).shape
    torch.Size([2, 4, 5])
    """
    shape = images.shape[1:]
    d = len(shape)
    for axis in range(d - 1, 0, -1):  # Fisher-Yates, left out where it would change the shape
        other = int(torch.randint(axis + 1, (), generator=generator))
        if shape[axis] == shape[other]:
            images = images.transpose(axis + 1, other + 1)
    reverse = torch.randint(2, (d,), generator=generator).tolist()
    return images.flip([axis + 1 for axis in range(d) if reverse[axis]])


def warp_scene(moving: Tensor, fixed: Tensor, pose: Tensor, truth: Tensor) -> WarpedScene:
    """moving o C and fixed o C o T: see :mod:`learned.data.augmentation`; 0 where nothing is in view.

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
    """Label maps at the nearest voxels of x + u(x); 0 where nothing is in view.

    Parameters
    ----------
    labels : (N, C, *S) tensor
        Whole numbers up to 255, of a floating type.
    displacement : (N, d, *S) tensor
        Voxels.

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
