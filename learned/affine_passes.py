"""AT-Net once or several times: each pass sees what the passes before have left to be done."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .affine import affine_displacement
from .spatial import warp


def affine_maps(
    at_net: nn.Module, moving: Tensor, fixed: Tensor, passes: int = 1
) -> tuple[Tensor, ...]:
    r"""The affine map after each pass.

    .. math:: A_{k+1} = A_k \circ N(M \circ A_k, F), \qquad A_0 = \mathrm{id},

    with N the network.  The moving image is interpolated once for each pass, never twice.  A pass
    takes the one before as it is: no gradient flows from one to the other, so that each learns to
    correct what is left, and none to prepare the next.

    Parameters
    ----------
    at_net : nn.Module
        A pair (N, 2, \*S) -> (N, d, d + 1) on centred coordinates, see :class:`learned.at_net.ATNet`.
    moving, fixed : (N, 1, \*S) tensors
    passes : int
        At least 1.

    Returns
    -------
    tuple of (N, d, d + 1) tensors

    Examples
    --------
    >>> shift = lambda pair: torch.tensor([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]])
    >>> image = torch.rand(1, 1, 8, 8)
    >>> [float(A[0, 0, 2]) for A in affine_maps(shift, image, image, passes=3)]
    [0.25, 0.5, 0.75]
    """
    size = tuple(moving.shape[2:])
    maps: list[Tensor] = []
    for _ in range(passes):
        before = maps[-1].detach() if maps else None
        seen = moving if before is None else warp(moving, affine_displacement(before, size))
        update = at_net(torch.cat((seen, fixed), 1)).to(moving.dtype)
        maps.append(update if before is None else after(before, update))
    return tuple(maps)


def after(outer: Tensor, inner: Tensor) -> Tensor:
    """The map c -> outer(inner(c)), (N, d, d + 1)."""
    linear, shift = outer[..., :-1], outer[..., -1:]
    product = linear @ inner
    return torch.cat((product[..., :-1], product[..., -1:] + shift), -1)
