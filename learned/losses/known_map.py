r"""Distance to the random map that made a pair.

Pairs are made by random maps (:mod:`learned.data.augmentation`), so the displacement u* that is sought
is known without any label, and a network may learn from

.. math:: K(u) = \frac{1}{|V|} \sum_{x \in V} \sqrt{|u(x) - u^*(x)|^2 + \epsilon^2} - \epsilon

besides the energy.  Where mutual information is flat, far from the answer or inside a tissue of one
intensity, this still says where to go.  The mean distance is chosen, not its square, because it is what
registrations are judged by, and because a few pairs that are far off must not rule all others.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from varreg.errors import InputError

from ..resampling import resize_field
from .arguments import single_or_double
from .dice import label_dice, labelled
from .objective import Losses

#: Voxels; below, the distance is smooth.
EPSILON = 0.1


class Known(NamedTuple):
    """What is known of a batch of pairs.

    Attributes
    ----------
    truth : (N, d, *S) tensor
        Displacement fixed -> moving.
    visible : (N, 1, *S) tensor
        Where it can be judged.
    mapped : (N,) bool tensor or None
        The pairs whose map is known; the truth of others is nothing. None: of all.
    labels : (moving, fixed) uint8 tensors (N, 1, *S), or None
        Label maps at the resolution of the images.
    """

    truth: Tensor
    visible: Tensor
    mapped: Tensor | None = None
    labels: tuple[Tensor, Tensor] | None = None


def known_map_distance(displacement: Tensor, truth: Tensor, visible: Tensor) -> Tensor:
    r"""K of each pair, (N,) in the unit of the displacements.

    Parameters
    ----------
    displacement, truth : (N, d, \*S) tensors
        u and u*.
    visible : (N, 1, \*S) tensor
        V: voxels above 1/2 count. A pair without any gives 0.

    Raises
    ------
    InputError
        If the shapes differ.

    Examples
    --------
    >>> import torch
    >>> still, shift = torch.zeros(1, 2, 4, 4), torch.full((1, 2, 4, 4), 3.0)
    >>> shift[:, 1] = 4
    >>> round(float(known_map_distance(still, shift, torch.ones(1, 1, 4, 4))), 2)
    4.9
    """
    if displacement.shape != truth.shape or visible.shape[2:] != truth.shape[2:]:
        raise InputError(
            "learned.losses.known_map_distance: `displacement`, `truth` and `visible` must cover the same "
            f"voxels; got {tuple(displacement.shape)}, {tuple(truth.shape)} and {tuple(visible.shape)}."
        )
    squares = (
        (single_or_double(displacement) - single_or_double(truth)).square().sum(1, keepdim=True)
    )
    distance = (squares + EPSILON**2).sqrt() - EPSILON
    weight = (visible > 0.5).to(distance.dtype)
    return (weight * distance).flatten(1).sum(1) / weight.flatten(1).sum(1).clamp(min=1)


def of_known(values: Tensor, which: Tensor | None) -> tuple[Tensor, Tensor]:
    """Of one number for each pair: what goes into the loss of a batch, and what is told of it.

    In the loss a pair of which nothing is known counts 0, so that every other weighs the same in every
    batch; what is told is the mean of the others.

    Parameters
    ----------
    values : (N,) tensor
    which : (N,) bool tensor or None
        The pairs that count; None is all.

    Examples
    --------
    >>> import torch
    >>> loss, told = of_known(torch.tensor([3.0, 100.0]), torch.tensor([True, False]))
    >>> float(loss), float(told)
    (1.5, 3.0)
    """
    if which is None:
        return values.mean(), values.mean()
    weight = which.to(values.dtype)
    values = values * weight
    return values.mean(), values.sum() / weight.sum().clamp(min=1)


def with_known(
    losses: Losses,
    displacement: Tensor,
    known: Known | None,
    known_map: float,
    dice: float,
    voxel: float = 1.0,
) -> Losses:
    r"""The losses with the distance to the known map and the overlap of labels, as far as there are any.

    Parameters
    ----------
    losses : Losses
    displacement : (N, d, \*T) tensor
        On the grid of `known`.
    known : Known or None
    known_map, dice : float
        Weights.
    voxel : float
        Voxel size of that grid in voxels of the images.
    """
    if known is None:
        return losses
    if known_map:
        distance = known_map_distance(displacement, known.truth, known.visible)
        mean, told = of_known(distance, known.mapped)
        losses = losses._replace(
            total=losses.total + known_map * (voxel * mean), known_map=voxel * told
        )
    return with_dice(losses, displacement, known, dice)


def with_dice(losses: Losses, displacement: Tensor, known: Known, weight: float) -> Losses:
    """The losses with 1 - D of the pairs that have labels, at the resolution of these."""
    if not weight or known.labels is None:
        return losses
    displacement = resize_field(displacement, known.labels[0].shape[2:])
    dice, which = label_dice(displacement, *known.labels), labelled(*known.labels)
    loss, _ = of_known(1 - dice, which)
    return losses._replace(
        total=losses.total + weight * loss, dice=of_known(dice.detach(), which)[1]
    )
