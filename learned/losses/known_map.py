r"""Distance to the random map that made a pair.

Pairs are made by random maps (:mod:`learned.data.augmentation`), so the displacement u* that is sought
is known without any label, and a network may learn from

.. math:: K(u) = \frac{1}{|V|} \sum_{x \in V} \sqrt{|u(x) - u^*(x)|^2 + \epsilon^2} - \epsilon

besides the energy.  Where mutual information is flat, far from the answer or inside a tissue of one
intensity, this still says where to go.  The mean distance is chosen, not its square, because it is what
registrations are judged by, and because a few pairs that are far off must not rule all others.
"""

from __future__ import annotations

from torch import Tensor

from varreg.errors import InputError

from .arguments import single_or_double

#: Voxels; below, the distance is smooth.
EPSILON = 0.1


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
