r"""Overlap of the structures of two label maps: a loss where anatomy is known and the map is not.

Of the label maps of two different people, or of an atlas and a subject, it is known which structures belong
together.  The mean soft Dice overlap

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

import torch
from torch import Tensor

from varreg.errors import InputError

from ..field_checks import check_displacement
from ..precision import without_autocast
from ..spatial import identity_grid, per_axis, view_weight
from .arguments import single_or_double

NAME = "learned.losses.label_dice"
#: Numbers that a byte holds.
LABELS = 256


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
    check_displacement(NAME, "displacement", displacement)
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
                f"{NAME}: `{name}` must be uint8 of shape {wanted}, on the grid of `displacement`; got "
                f"{labels.dtype} of shape {tuple(labels.shape)}."
            )
