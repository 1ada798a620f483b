r"""What is known of a pair: the random map that made it, or the structures of both images.

Pairs are made by random maps (:mod:`learned.data.augmentation`), so the displacement u* that is sought
is known without any label, and a network may learn from

.. math:: K(u) = \frac{1}{|V|} \sum_{x \in V} \sqrt{|u(x) - u^*(x)|^2 + \epsilon^2} - \epsilon

besides the energy: where mutual information is flat, this still says where to go.  The mean distance is
chosen, not its square, because it is what registrations are judged by, and because a few pairs that are far
off must not rule all others.

Of the label maps of two people, or of an atlas and a subject, it is known which structures belong together.
The mean soft Dice overlap

.. math:: D(u) = \frac{1}{|K|} \sum_{k \in K} \frac{2 \sum_x f_k(x)\, m_k(x + u(x))}
                                              {\sum_x f_k(x) + \sum_x m_k(x + u(x))}

takes :math:`f_k`, 1 in structure k of the fixed label map and 0 elsewhere, and :math:`m_k` of the moving one,
interpolated linearly, 0 beyond its field of view; K are the structures that both maps have.  The loss is
:math:`1 - D`, as in VoxelMorph with labels (Balakrishnan et al. 2019, doi 10.1109/TMI.2019.2897538).
Because :math:`f_k` is 0 or 1 and the weights of linear interpolation do not depend on k, nothing is computed
for each label: a voxel adds the weights of its :math:`2^d` neighbours to the volumes of their labels, and those of
its own label to the intersection.  Time and memory do not grow with the number of labels.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from varreg.errors import InputError

from ..spatial import identity_grid, per_axis, resize_field, view_weight
from ..tensors import check_displacement, single_or_double, without_autocast
from .objective import Losses

DICE = "learned.losses.label_dice"
#: Voxels; below, the distance to a known map is smooth.
EPSILON = 0.1
#: Numbers that a byte holds.
LABELS = 256


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
    """Of numbers (N,), of which some count (None: all): what goes into the loss, and what is told of it.

    In the loss a pair of which nothing is known counts 0, so that every other weighs the same in every
    batch; what is told is the mean of the others.

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
    """The losses with the distance to the known map and the overlap of labels, as far as there are any.

    `known_map` and `dice` are weights; a voxel of the displacement and of what is known is `voxel` of the images.
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


def label_dice(displacement: Tensor, moving: Tensor, fixed: Tensor) -> Tensor:
    r"""D of each pair, (N,) in [0, 1]; larger is better.

    Parameters
    ----------
    displacement : (N, d, \*S) tensor
        u, fixed to moving, in voxels.
    moving, fixed : (N, 1, \*S) uint8 tensors
        Label maps; 0 is no structure, and a structure has the same number in both.

    Returns
    -------
    (N,) tensor, in float32 or float64, differentiable with respect to the displacement; 1 where the two
        have no structure in common, so that there is nothing to be learned.  Under a displacement of
        whole voxels it is the Dice overlap itself.

    Raises
    ------
    InputError
        If the shapes do not belong together, or labels are not uint8.

    Examples
    --------
    >>> left = torch.tensor([[[[1, 1, 0, 0]] * 2]], dtype=torch.uint8)
    >>> shift = torch.zeros(1, 2, 2, 4)
    >>> float(label_dice(shift, left, left.roll(1, 3)))
    0.5
    >>> shift[:, 1] = -1
    >>> float(label_dice(shift, left, left.roll(1, 3)))
    1.0
    """
    check_displacement(DICE, "displacement", displacement)
    _check_labels(displacement, moving=moving, fixed=fixed)
    with without_autocast(displacement):
        return _dice(single_or_double(displacement), moving.flatten(1), fixed.flatten(1))


def labelled(moving: Tensor, fixed: Tensor) -> Tensor:
    """Which pairs have structures in both label maps, (N,) bool."""
    return moving.flatten(1).any(1) & fixed.flatten(1).any(1)


def _dice(u: Tensor, moving: Tensor, fixed: Tensor) -> Tensor:
    """D, of flattened label maps."""
    n, shape = len(u), tuple(u.shape[2:])
    sizes = per_axis([k - 1 for k in shape], u)
    position = torch.minimum((identity_grid(shape, u) + u).clamp(min=0), sizes)
    low = torch.minimum(position.detach().floor(), (sizes - 1).clamp(min=0))
    fraction = position - low
    view = view_weight(u, shape).flatten(1)
    low = low.nan_to_num().long()  # what is not finite shows in the weights
    rows = LABELS * torch.arange(n, device=u.device)[:, None]
    here = fixed.long()
    agreed, volume = torch.zeros_like(view), u.new_zeros(n * LABELS)
    for corner in itertools.product((0, 1), repeat=len(shape)):
        weight = math.prod(
            (f if step else 1 - f).flatten(1)
            for f, step in zip(fraction.unbind(1), corner, strict=True)
        )
        weight = weight * view
        found = moving.gather(1, _place(low, corner, shape)).long()
        agreed = agreed + weight * (found == here)
        volume = volume.scatter_add(0, (rows + found).flatten(), weight.flatten())
    inside = u.new_zeros(n * LABELS).scatter_add(0, (rows + here).flatten(), agreed.flatten())
    there, fixed_volume = _counts(moving, rows, u), _counts(fixed, rows, u)
    common = (there > 0) & (fixed_volume > 0)
    common[:, 0] = False
    overlap = 2 * inside.view(n, -1) / (volume.view(n, -1) + fixed_volume).clamp(min=1e-6)
    mean = torch.where(common, overlap, 0).sum(1) / common.sum(1).clamp(min=1)
    return torch.where(common.any(1), mean, mean + 1)


def _place(low: Tensor, corner: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    """Place of a neighbour of each position in the flattened array, (N, voxels)."""
    place = torch.zeros_like(low[:, 0])
    for k, (step, size) in enumerate(zip(corner, shape, strict=True)):
        place = place * size + (low[:, k] + step).clamp(max=size - 1)
    return place.flatten(1)


def _counts(labels: Tensor, rows: Tensor, like: Tensor) -> Tensor:
    """Voxels of each label, (N, LABELS)."""
    place = (rows + labels.long()).flatten()
    ones = like.new_ones(()).expand(len(place))
    return like.new_zeros(len(rows) * LABELS).scatter_add(0, place, ones).view(len(rows), -1)


def _check_labels(displacement: Tensor, **maps: Tensor) -> None:
    wanted = (len(displacement), 1, *displacement.shape[2:])
    for name, labels in maps.items():
        if tuple(labels.shape) != wanted or labels.dtype != torch.uint8:
            raise InputError(
                f"{DICE}: `{name}` must be uint8 of shape {wanted}, on the grid of `displacement`; got "
                f"{labels.dtype} of shape {tuple(labels.shape)}."
            )
