"""The ways in which a grid is mirrored onto itself, and images and displacements as they are seen there."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor


def symmetric_views(shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Maps of a grid onto itself, (d, d) each, the identity first.

    All reflections of its axes; in two dimensions, if both are equally long, also with the axes
    exchanged.

    Examples
    --------
    >>> len(symmetric_views((8, 8))), len(symmetric_views((8, 9))), len(symmetric_views((8, 8, 8)))
    (8, 4, 8)
    """
    d = len(shape)
    reflections = [torch.diag(torch.tensor(signs)) for signs in product((1.0, -1.0), repeat=d)]
    if d == 2 and shape[0] == shape[1]:
        exchange = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
        reflections += [reflection @ exchange for reflection in reflections]
    return tuple(reflections)


def alternating_view(number: int, shape: Sequence[int]) -> Tensor:
    """The view of a pass; as many that follow one another as there are views are all different.

    Examples
    --------
    >>> len({tuple(alternating_view(k, (8, 8)).flatten().tolist()) for k in range(8)})
    8
    """
    views = symmetric_views(shape)
    return views[3 * number % len(views)]  # 3 has no factor in common with 4 or 8


def viewed(images: Tensor, view: Tensor) -> Tensor:
    r"""Images o G: their axes in another order and direction, nothing interpolated.

    Parameters
    ----------
    images : (N, C, \*S) tensor
    view : (d, d) tensor
        G, of :func:`symmetric_views`.
    """
    order = view.abs().argmax(0).tolist()  # axis j of the view is axis order[j] of the images
    turned = images.permute(0, 1, *(2 + axis for axis in order))
    return turned.flip([2 + axis for axis in range(len(order)) if view[:, axis].sum() < 0])


def seen_from(displacement: Tensor, view: Tensor) -> Tensor:
    r"""A displacement u of viewed images as one of the images themselves: :math:`G u(G^{-1} x)`.

    Examples
    --------
    >>> import torch
    >>> u = torch.rand(1, 2, 4, 4)
    >>> all(torch.equal(seen_from(seen_from(u, G), G.T), u) for G in symmetric_views((4, 4)))
    True
    """
    turned = viewed(displacement, view.T)
    order = view.abs().argmax(1).tolist()
    signs = view.sum(1).to(displacement).reshape(-1, *[1] * (displacement.ndim - 2))
    return turned[:, order] * signs
