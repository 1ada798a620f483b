r"""Random maps between two images that coincide, with the truth known exactly.

Of a subject whose contrasts M and F coincide voxel by voxel, a random map T gives the pair

.. math:: \text{moving} = M \circ C, \qquad \text{fixed} = F \circ C \circ T,

so that the map fixed -> moving that is sought is T itself, :math:`x \mapsto x + u(x)`: no inverse
is taken.  C is a pose that both share (flips, another placement of the head).  Each image is
interpolated once.  Because T is drawn for one image alone, a network sees every misalignment, not
only the one that came with the data.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ..spatial import compose, view_weight, warp


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
